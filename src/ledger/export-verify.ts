import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto'
import { type ExportManifest, exportManifestSchema } from '../core/export-bundle.ts'
import {
  type BundleFile,
  bundleFiles,
  type FileFacts,
  manifestOf,
  readmeOf,
  selectionIn,
  signedBytes,
  statedIn,
  statementOf,
  statementType,
} from '../core/export-manifest.ts'
import { Selected } from '../core/export-selection.ts'
import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
import { type BundleFiles, openBundle } from '../fs/bundle-reader.ts'
import { paddingOf, tarHeader, tarTrailerBytes } from '../fs/tar.ts'
import { sha256 } from '../log/sha256.ts'
import { verifySignedCheckpoint } from '../merkle/checkpoint.ts'
import { toBase64, toHex } from '../merkle/hash.ts'
import { parseVkey, type Vkey } from '../merkle/vkey.ts'
import { sha256Hex } from './core.ts'
import { checkEntries, failed, parsed } from './export-lines.ts'

export interface VerifiedExport {
  verified: true
  /** `unchecked` where the caller brought no key: that in the bundle proves nothing by itself. */
  authenticity: 'checked' | 'unchecked'
  bundle_id: string
  entries: number
  first_seq: number
  last_seq: number
  /** Why the entries stop where they do. */
  ends: string
  key_fingerprint_sha256: string
  manifest_hash_sha256: string
  open_runs: number
  origin: string
  package_hash_sha256: string
  root: string
  size: number
}

/**
 * Checks a bundle, an archive or the folder it was unpacked to, without a ledger. Everything in it is derived again
 * from the entries and compared; what cannot be is under the signature. Errors: VERIFY_FAILED, whose details name the
 * check and where; INVALID_INPUT (a key that is none), NOT_FOUND, FILE_DENIED. Cost: three passes over the bundle,
 * memory for its small files and one entry.
 */
export async function verifyExport(path: string, options: { vkey?: string | undefined } = {}): Promise<VerifiedExport> {
  const files = await openBundle(path, bundleFiles)
  const { facts, package_hash_sha256, texts } = await readOnce(files)
  const key = await keyOf(texts, options.vkey)
  const { origin, root, size } = await checkpointIn(texts, key)
  const manifest = manifestIn(texts)
  checkStatement(texts, facts, key, { bundle_id: manifest.bundle_id, origin, root: toHex(root), size })

  const stated = selectionIn(manifest)
  if (stated?.size !== size) throw failed('manifest', 'it does not say what was selected of the tree of the checkpoint')
  const { selection } = stated
  const selected = new Selected(selection)
  await checkEntries(files, selected, { root, size })
  const selectedFacts = selected.facts()
  if (selectedFacts === undefined) throw failed('entries', 'there is none')
  const derived = manifestOf(
    {
      bundle_kind: manifest.bundle_kind,
      entries: factOf(facts, 'entries.jsonl'),
      // Who wrote the bundle names the ledger; the key's name is what it is checked by.
      ledger_id: manifest.created_by.replace(/^ledger:/, ''),
      origin,
      policy_versions: manifest.policy_versions,
      proofs: factOf(facts, 'proofs/inclusion.jsonl'),
      root: toHex(root),
      selected: selectedFacts,
      selection,
      size,
      stated: statedIn(manifest),
      time: manifest.created_at_utc,
    },
    (bytes) => toHex(sha256(bytes)),
  )
  const text = JSON.stringify(derived)
  if (`${text}\n` !== texts.get('manifest.json')) throw failed('manifest', 'it is not the manifest of these entries')
  if (readmeOf(derived.bundle_id) !== texts.get('README.txt')) throw failed('manifest', 'README.txt is another’s')
  const { entries, first_seq, last_seq, open_runs } = selectedFacts
  return {
    verified: true,
    authenticity: options.vkey === undefined ? 'unchecked' : 'checked',
    bundle_id: derived.bundle_id,
    entries,
    first_seq,
    last_seq,
    ends: derived.contents.filters?.find(({ key }) => key === 'ends')?.value ?? '',
    key_fingerprint_sha256: toHex(sha256(key.publicKey)),
    manifest_hash_sha256: sha256Hex(text),
    open_runs,
    origin,
    package_hash_sha256,
    root: toHex(root),
    size,
  }
}

type Texts = ReadonlyMap<string, string>
type Facts = ReadonlyMap<string, FileFacts>
const newline = 0x0a
const longLineBytes = 4 * limits.entryBytes
const longFiles: readonly string[] = ['entries.jsonl', 'proofs/inclusion.jsonl'] satisfies BundleFile[]

/** One pass: the hash of every file and of the uncompressed archive, and the texts of the small ones. */
async function readOnce(files: BundleFiles): Promise<{ facts: Facts; package_hash_sha256: string; texts: Texts }> {
  const facts = new Map<string, FileFacts>()
  const texts = new Map<string, string>()
  const whole = createHash('sha256')
  for await (const { chunks, name, size } of files()) {
    const isLong = longFiles.includes(name)
    if (!isLong && size > limits.exportSmallFileBytes) throw failed('archive', `${name} is larger than its bound`)
    const digest = createHash('sha256')
    const kept: Uint8Array[] = []
    whole.update(tarHeader(name, size))
    let sinceNewline = 0
    for await (const chunk of chunks) {
      digest.update(chunk)
      whole.update(chunk)
      if (!isLong) kept.push(chunk)
      const last = chunk.lastIndexOf(newline)
      sinceNewline = last === -1 ? sinceNewline + chunk.length : chunk.length - 1 - last
      // The lines themselves are judged later; so far this only keeps a file of gigabytes without any from being read.
      if (isLong && sinceNewline > longLineBytes) {
        throw failed(
          name === 'entries.jsonl' ? 'entries' : 'proofs',
          `${name} has a line longer than ${longLineBytes} bytes`,
        )
      }
    }
    whole.update(Buffer.alloc(paddingOf(size)))
    facts.set(name, { bytes: size, sha256: digest.digest('hex') })
    if (!isLong) texts.set(name, Buffer.concat(kept).toString('utf8'))
  }
  return { facts, package_hash_sha256: whole.update(Buffer.alloc(tarTrailerBytes)).digest('hex'), texts }
}

function factOf(facts: Facts, name: BundleFile): FileFacts {
  return facts.get(name) ?? { bytes: 0, sha256: '' }
}

async function keyOf(texts: Texts, vkey: string | undefined): Promise<Vkey> {
  const own = texts.get('key.pub') ?? ''
  const brought = vkey === undefined ? undefined : await parseVkey(vkey.trim(), sha256)
  if (brought?.ok === false)
    throw new LockstepError('INVALID_INPUT', `the key that you brought is none: ${brought.reason}`)
  if (vkey !== undefined && `${vkey.trim()}\n` !== own)
    throw failed('key', 'it is another key than the one you brought')
  const key = await parseVkey(own.replace(/\n$/, ''), sha256)
  if (!key.ok) throw failed('key', key.reason)
  return key.value
}

async function checkpointIn(texts: Texts, key: Vkey) {
  const checkpoint = await verifySignedCheckpoint(texts.get('checkpoint') ?? '', key, isSignatureOf)
  if (!checkpoint.ok) throw failed('checkpoint', checkpoint.reason)
  return checkpoint.value
}

function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(publicKey).toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return verifySignature(null, message, key, signature)
}

function manifestIn(texts: Texts): ExportManifest {
  const manifest = exportManifestSchema.safeParse(parsed(texts.get('manifest.json') ?? ''))
  if (!manifest.success) throw failed('manifest', 'it is no export_bundle of Contract v1')
  return manifest.data
}

/** The envelope is the one over exactly these files, signed with this key. Ed25519 has one signature for its bytes. */
function checkStatement(
  texts: Texts,
  facts: Facts,
  key: Vkey,
  bundle: { bundle_id: string; origin: string; root: string; size: number },
): void {
  const subjects = new Map([...facts].filter(([name]) => name !== 'statement.json'))
  const payload = statementOf(bundle, subjects)
  const envelope = parsed(texts.get('statement.json') ?? '') as { signatures?: { sig?: unknown }[] } | undefined
  const sig = envelope?.signatures?.[0]?.sig
  const signature = Buffer.from(typeof sig === 'string' ? sig : '', 'base64')
  const expected = JSON.stringify({
    payload: toBase64(Buffer.from(payload)),
    payloadType: statementType,
    signatures: [{ keyid: toHex(key.keyId), sig: toBase64(signature) }],
  })
  const isOurs = `${expected}\n` === texts.get('statement.json')
  if (!isOurs) throw failed('statement', `a file is not what it states: ${differing(envelope, payload)}`)
  if (!isSignatureOf(key.publicKey, signedBytes(payload), signature))
    throw failed('statement', 'its signature is wrong')
}

/** The first file whose digest the statement has otherwise. */
function differing(envelope: unknown, payload: string): string {
  const { payload: encoded } = (envelope ?? {}) as { payload?: unknown }
  const stated = parsed(Buffer.from(typeof encoded === 'string' ? encoded : '', 'base64').toString('utf8'))
  const digests = (of: unknown) =>
    ((of as { subject?: { name: string; digest: { sha256: string } }[] } | undefined)?.subject ?? []).map?.(
      (subject) => `${subject?.name} ${subject?.digest?.sha256}`,
    ) ?? []
  const theirs = new Set(digests(stated))
  return (
    digests(parsed(payload))
      .find((digest) => !theirs.has(digest))
      ?.split(' ')[0] ?? 'the statement itself'
  )
}
