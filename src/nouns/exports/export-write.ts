import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { fileError } from '../../disk/durable.ts'
import type { Selection } from '../../domain/approval/exported.ts'
import type { ExportManifest, Stated } from '../../domain/export/bundle.ts'
import {
  bundleFilesOf,
  bundleFormat,
  type FileFacts,
  manifestOf,
  readmeOf,
  signedBytes,
  statementOf,
  statementType,
} from '../../domain/export/manifest.ts'
import { Selected } from '../../domain/export/selection.ts'
import type { PolicyEventData } from '../../domain/policy/events.ts'
import { policyStream } from '../../domain/policy/state.ts'
import { invariant, LockstepError } from '../../errors.ts'
import { writeArchive } from '../../files/bundle/bundle-file.ts'
import type { ExportFiles } from '../../files/bundle/export-files.ts'
import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { unpinned } from '../../kernel/vocabulary.ts'
import type { StoredEntry } from '../../log/free-texts.ts'
import type { Key } from '../../log/log.ts'
import { keyTextOf, type Signer, signersOf } from '../../log/signer.ts'
import { inclusionProofsOf, rootOf } from '../../log/tiles.ts'
import { toBase64, toHex } from '../../merkle/hash.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import { type Core, sha256Hex } from '../../writer/core.ts'
import { proofLine } from './disclosed-entry.ts'
import type { ProvenApprovals } from './export-approvals.ts'
import { entriesToSelect } from './export-entries.ts'
import { witnessedFilesOf } from './export-witnessed.ts'

export interface AskedBundle {
  /** The only case whose entries may be exported. Null allows only entries without a case; undefined allows all. */
  allowed_case: string | null | undefined
  approvals: ProvenApprovals | undefined
  bundle_kind: ExportManifest['bundle_kind']
  selection: Selection
  size: number
  stated: Stated
}

export interface WrittenBundle {
  manifest: ExportManifest
  /** SHA-256 of the manifest's canonical JSON. */
  manifest_hash_sha256: string
  /** SHA-256 of the uncompressed archive. */
  package_hash_sha256: string
}

/**
 * Writes a bundle of selected entries to the spool of its export. Entries and proofs are spooled first, because an
 * archive states the size of a file before its contents. Errors and cost: see `Exports.create`.
 */
export async function writeBundle(core: Core, asked: AskedBundle, files: ExportFiles): Promise<WrittenBundle> {
  try {
    files.makeSpool()
    return await assemble(core, asked, files)
  } catch (error) {
    throw fileError(error, `writing ${files.file}`)
  }
}

async function assemble(
  core: Core,
  { allowed_case, approvals: proven, bundle_kind, selection, size, stated }: AskedBundle,
  files: ExportFiles,
): Promise<WrittenBundle> {
  const signers = await signersOf(core.log, core.layout, size)
  const paths = { entries: files.spooled('entries'), proofs: files.spooled('proofs') }
  const { entries, proofs, selected } = await spoolEntries(core, { allowed_case, selection, size, stated }, paths)
  const last = await core.views.entry(size - 1)
  const facts = selected.facts()
  if (facts === undefined || last === undefined) {
    throw new LockstepError('NOT_FOUND', `no entry below size ${size} is selected`, { details: { size } })
  }
  const { ledger_id, origin } = core.log.meta
  const root = toHex(await rootOf(core.log, size))
  const pinned = { policy_versions: await pinsAt(core, size), time: last.time }
  const approvals = proven?.approvals ?? []
  const manifest = manifestOf(
    {
      ...pinned,
      approvals,
      bundle_kind,
      entries,
      format: bundleFormat,
      ledger_id,
      origin,
      proofs,
      root,
      selected: facts,
      selection,
      size,
      stated,
    },
    (bytes) => createHash('sha256').update(bytes).digest('hex'),
  )
  const manifestText = JSON.stringify(manifest)
  const witnessed = await witnessedFilesOf(core, size)
  const parts = { hasApprovals: proven !== undefined, isWitnessed: witnessed !== undefined }
  const names = bundleFilesOf(parts)
  const texts = new Map<string, string>([
    ...(proven?.files ?? []),
    ...(witnessed ?? []),
    ['README.txt', readmeOf(manifest.bundle_id, parts)],
    ['checkpoint', (await core.log.sign(size)).note],
    ['key.pub', await keyTextOf(core.log)],
    ['manifest.json', `${manifestText}\n`],
  ])
  const spooled = new Map<string, FileFacts & { path: string }>([
    ['entries.jsonl', { ...entries, path: paths.entries }],
    ['proofs/inclusion.jsonl', { ...proofs, path: paths.proofs }],
  ])
  const subjects = names
    .filter((name) => name !== 'statement.json')
    .map((name): [string, FileFacts] => [name, spooled.get(name) ?? factsOf(texts.get(name) ?? '')])
  const of = { bundle_id: manifest.bundle_id, format: bundleFormat, origin, root, size }
  const statement = statementOf(of, new Map(subjects))
  texts.set('statement.json', `${await envelopeOf(statement, signers)}\n`)

  const members = names.map((name) => {
    const long = spooled.get(name)
    return long === undefined
      ? { name, bytes: Buffer.from(texts.get(name) ?? '') }
      : { name, path: long.path, size: long.bytes }
  })
  const package_hash_sha256 = await writeArchive(files.spooled('archive'), members)
  return { manifest, manifest_hash_sha256: sha256Hex(manifestText), package_hash_sha256 }
}

/** Writes the selected entries and their proofs to two files in the same order, one line each. */
async function spoolEntries(
  core: Core,
  { allowed_case, selection, size, stated }: Pick<AskedBundle, 'allowed_case' | 'selection' | 'size' | 'stated'>,
  paths: { entries: string; proofs: string },
): Promise<{ entries: FileFacts; proofs: FileFacts; selected: Selected }> {
  const { log } = core
  const withheld = stated.redaction?.withheld ?? []
  const selected = new Selected(selection)
  const proofOf = inclusionProofsOf(log, size)
  const entries = await Lines.create(paths.entries)
  let proofs: Lines | undefined
  let count = 0
  try {
    proofs = await Lines.create(paths.proofs)
    for await (const page of entriesToSelect(core, selection, size)) {
      const stored = await log.load(page.map(({ seq }): Key => ({ view: 'stored', key: seq })))
      for (const [at, entry] of page.entries()) {
        if (!selected.has(entry)) continue
        const wrong = selected.take(entry)
        invariant(wrong === undefined, `entry ${entry.seq} of the log follows its history: ${wrong}`)
        assertOfCase(entry, allowed_case)
        count += 1
        if (count > limits.exportEntriesMax) {
          throw new LockstepError('LIMIT_EXCEEDED', `a bundle holds at most ${limits.exportEntriesMax} entries`)
        }
        const asStored = stored[at] as StoredEntry
        await entries.add(asStored.text)
        await proofs.add(proofLine(asStored, { proof: await proofOf(entry.seq), seq: entry.seq, withheld }))
      }
      // Let other callers run between two pages.
      await new Promise(setImmediate)
    }
    return { entries: await entries.end(), proofs: await proofs.end(), selected }
  } finally {
    await Promise.all([entries.close(), proofs?.close()])
  }
}

/** Rejects an entry of a case that the export may not contain. Errors: RUN_DENIED. */
function assertOfCase({ case_id, seq }: Entry, allowed: string | null | undefined): void {
  if (case_id === undefined || allowed === undefined || case_id === allowed) return
  throw new LockstepError('RUN_DENIED', `entry ${seq} belongs to another case than the export`, {
    details: { seq },
    hint: 'To export across cases, declare the effect cross_case_lookup in a lane that allows it.',
  })
}

/** The pins of the policy in force at a size. Each policy entry points to the one before it. */
async function pinsAt({ views }: Core, size: number): Promise<Entry['policy_versions']> {
  for await (const { data, seq, type } of walked(views, await chainOfStream(views, policyStream))) {
    if (type !== 'policy.loaded' || seq >= size) continue
    const { lanes, roles } = data as PolicyEventData<'policy.loaded'>
    return { lanes: lanes.pin, roles: roles.pin }
  }
  return { lanes: unpinned, roles: unpinned }
}

function factsOf(text: string): FileFacts {
  return { bytes: Buffer.byteLength(text), sha256: sha256Hex(text) }
}

/** A DSSE envelope. Ed25519 is deterministic, so the same payload gives the same envelope. */
async function envelopeOf(payload: string, signers: readonly Signer[]): Promise<string> {
  const signatures: { keyid: string; sig: string }[] = []
  for (const { keyId, sign } of signers) {
    signatures.push({ keyid: toHex(keyId), sig: toBase64(await sign(signedBytes(payload))) })
  }
  return JSON.stringify({ payload: toBase64(Buffer.from(payload)), payloadType: statementType, signatures })
}

/** A file that is written line by line, in chunks, and hashed at the same time. */
class Lines {
  readonly #handle: FileHandle
  readonly #hash: Hash = createHash('sha256')
  #chunk = ''
  #bytes = 0

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  static async create(path: string): Promise<Lines> {
    return new Lines(await open(path, 'wx', 0o600))
  }

  async add(line: string): Promise<void> {
    this.#chunk += `${line}\n`
    if (this.#chunk.length >= chunkChars) await this.#flush()
  }

  async end(): Promise<FileFacts> {
    await this.#flush()
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#chunk)
    this.#chunk = ''
    this.#hash.update(bytes)
    this.#bytes += bytes.length
    await this.#handle.appendFile(bytes)
  }
}

const chunkChars = 64 * 1024
