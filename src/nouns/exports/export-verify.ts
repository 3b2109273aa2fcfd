import { createHash } from 'node:crypto'
import { type ExportManifest, exportManifestSchema } from '../../domain/export/bundle.ts'
import {
  approvedBundleFiles,
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
} from '../../domain/export/manifest.ts'
import { Selected } from '../../domain/export/selection.ts'
import { LockstepError } from '../../errors.ts'
import { type BundleFiles, openBundle } from '../../files/bundle/bundle-reader.ts'
import { paddingOf, tarHeader, tarTrailerBytes } from '../../files/bundle/tar.ts'
import { refuseNewerContract } from '../../kernel/format.ts'
import { limits } from '../../kernel/limits.ts'
import { sha256 } from '../../log/sha256.ts'
import { isSignatureOf } from '../../log/signer.ts'
import { verifySignedCheckpoint } from '../../merkle/checkpoint.ts'
import { toBase64, toHex } from '../../merkle/hash.ts'
import { parseVkey, type Vkey } from '../../merkle/vkey.ts'
import { sha256Hex } from '../../writer/core.ts'
import { checkApprovals, shownApproval, type VerifiedApproval } from './export-approvals.ts'
import { checkEntries, failed, parsed } from './export-lines.ts'

export interface VerifiedExport {
  verified: true
  /** Who approved the export. */
  approvals: VerifiedApproval[]
  /** `unchecked` if the caller gave no key: the key inside the bundle proves nothing by itself. */
  authenticity: 'checked' | 'unchecked'
  bundle_id: string
  entries: number
  first_seq: number
  last_seq: number
  /** Why the selection ends at `last_seq`. */
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
 * Verifies a bundle without a ledger, as an archive or as an unpacked folder. Everything that can be derived from the
 * entries is derived and compared; everything else is covered by the signature. Errors: VERIFY_FAILED with the check
 * and the place in its details; FORMAT_TOO_NEW, INVALID_INPUT (invalid key), NOT_FOUND, FILE_DENIED. Cost: three passes
 * over the bundle, and memory for its small files and one entry.
 */
export async function verifyExport(path: string, options: { vkey?: string | undefined } = {}): Promise<VerifiedExport> {
  const files = await openBundle(path, [bundleFiles, approvedBundleFiles])
  const { facts, package_hash_sha256, texts } = await readOnce(files)
  const key = await keyOf(texts, options.vkey)
  const { origin, root, size } = await checkpointIn(texts, key)
  const manifest = manifestIn(texts)
  checkStatement(texts, facts, key, { bundle_id: manifest.bundle_id, origin, root: toHex(root), size })

  const stated = selectionIn(manifest)
  if (stated?.size !== size) throw failed('manifest', 'it does not state a selection from the checkpoint’s tree')
  const { selection } = stated
  const selected = new Selected(selection)
  await checkEntries(files, selected, { root, size })
  const selectedFacts = selected.facts()
  if (selectedFacts === undefined) throw failed('entries', 'the bundle has no entries')
  const { bundle_kind, redaction } = manifest
  const exported = { bundle_kind, ...(redaction ? { redaction } : {}), select: selection, size }
  const approvals = texts.has('approvals/checkpoint')
    ? await checkApprovals(texts, { key, origin, root, size }, exported)
    : []
  const derived = manifestOf(
    {
      approvals,
      bundle_kind,
      entries: factOf(facts, 'entries.jsonl'),
      // `created_by` contains the ledger id. The ledger is authenticated by the name of its key.
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
  if (readmeOf(derived.bundle_id, approvals.length > 0) !== texts.get('README.txt'))
    throw failed('manifest', 'README.txt belongs to another bundle')
  const { entries, first_seq, last_seq, open_runs } = selectedFacts
  return {
    verified: true,
    approvals: approvals.map(shownApproval),
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
const longLineBytes = limits.exportProofBytes
const longFiles: readonly string[] = ['entries.jsonl', 'proofs/inclusion.jsonl'] satisfies BundleFile[]

/** Reads the bundle once: hashes every file and the uncompressed archive, and keeps the texts of the small files. */
async function readOnce(files: BundleFiles): Promise<{ facts: Facts; package_hash_sha256: string; texts: Texts }> {
  const facts = new Map<string, FileFacts>()
  const texts = new Map<string, string>()
  const whole = createHash('sha256')
  for await (const { chunks, name, size } of files()) {
    const isLong = longFiles.includes(name)
    if (!isLong && size > limits.exportSmallFileBytes)
      throw failed('archive', `${name} is larger than ${limits.exportSmallFileBytes} bytes`)
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
      // Lines are checked later. This limit only stops the reading of huge files without newlines.
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
  if (brought?.ok === false) throw new LockstepError('INVALID_INPUT', `this is not a valid key: ${brought.reason}`)
  if (vkey !== undefined && `${vkey.trim()}\n` !== own)
    throw failed('key', 'the bundle’s key is not the key that you gave')
  const key = await parseVkey(own.replace(/\n$/, ''), sha256)
  if (!key.ok) throw failed('key', key.reason)
  return key.value
}

async function checkpointIn(texts: Texts, key: Vkey) {
  const checkpoint = await verifySignedCheckpoint(texts.get('checkpoint') ?? '', key, isSignatureOf)
  if (!checkpoint.ok) throw failed('checkpoint', checkpoint.reason)
  return checkpoint.value
}

function manifestIn(texts: Texts): ExportManifest {
  const document = parsed(texts.get('manifest.json') ?? '')
  refuseNewerContract('the manifest', document)
  const manifest = exportManifestSchema.safeParse(document)
  if (!manifest.success) throw failed('manifest', 'it is not an export_bundle of Contract v1')
  return manifest.data
}

/**
 * Checks that the envelope covers exactly these files and is signed with this key. An Ed25519 signature is
 * deterministic.
 */
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
  if (!isOurs) throw failed('statement', `a file does not match the statement: ${differing(envelope, payload)}`)
  if (!isSignatureOf(key.publicKey, signedBytes(payload), signature))
    throw failed('statement', 'its signature is invalid')
}

/** The first file whose digest differs from the statement. */
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
