import * as z from 'zod'
import type { BundleFile } from '../../domain/export/manifest.ts'
import type { Selected } from '../../domain/export/selection.ts'
import { LockstepError } from '../../errors.ts'
import type { BundleFiles } from '../../files/bundle/bundle-reader.ts'
import { type Entry, entrySchema } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { commitmentTo, entryWithTexts, type StoredEntry } from '../../log/free-texts.ts'
import { leafHashOfText } from '../../log/leaf.ts'
import { sha256 } from '../../log/sha256.ts'
import { commitmentsIn, type HeldText } from '../../merkle/commitment.ts'
import { entryLine } from '../../merkle/entry-line.ts'
import { fromHex, toHex } from '../../merkle/hash.ts'
import { verifyInclusion } from '../../merkle/proofs.ts'

/** The checks of a bundle, in the order in which they run. */
export type ExportCheck =
  | 'archive'
  | 'key'
  | 'checkpoint'
  | 'statement'
  | 'entries'
  | 'proofs'
  | 'approvals'
  | 'manifest'
  | 'record'
  | 'witnesses'

/**
 * Checks every line: it is an entry in canonical form, its proof is valid, and it follows the previous selected
 * entry.
 */
export async function checkEntries(
  files: BundleFiles,
  selected: Selected,
  { root, size }: { root: Uint8Array; size: number },
): Promise<void> {
  const proofs = linesOf(files, 'proofs/inclusion.jsonl', limits.exportProofBytes)
  let number = 0
  try {
    for await (const line of linesOf(files, 'entries.jsonl', limits.entryBytes)) {
      number += 1
      const where = { line: number }
      const recorded = entryIn(line)
      if (recorded === undefined) throw failed('entries', `line ${number} is not an entry in canonical form`, where)
      const { seq } = recorded
      const { done, value } = await proofs.next()
      const leafHash = leafHashOfText(line)
      const read = done ? undefined : proofIn(value, toHex(leafHash), seq)
      const claim = { leafHash, proof: read?.hashes ?? [], root, seq, size }
      if (read === undefined || !(await verifyInclusion(claim, sha256))) {
        throw failed('proofs', `line ${number} does not prove that entry ${seq} is in the tree of size ${size}`, where)
      }
      const entry = disclosedEntry(recorded, read.disclosures)
      if (typeof entry === 'string') throw failed('proofs', `line ${number}: ${entry}`, where)
      const wrong = selected.take(entry)
      if (wrong !== undefined) throw failed('entries', `line ${number}: entry ${entry.seq} ${wrong}`, where)
    }
    if (!(await proofs.next()).done) throw failed('proofs', `there are more proofs than the ${number} entries`)
  } finally {
    await proofs.return(undefined)
  }
}

/** The entry of a line; undefined if the line is not an entry in canonical form. */
export function entryIn(line: string): Entry | undefined {
  const value = parsed(line)
  return entryLine(value) === line && entrySchema.safeParse(value).success ? (value as Entry) : undefined
}

/** The proof of an entry as a line: its hashes, and its free texts with their salts if it has any. */
export function proofLine({ text, texts }: StoredEntry, proof: readonly Uint8Array[], seq: number): string {
  const hashes = { leaf_hash: toHex(leafHashOfText(text)), proof: proof.map(toHex), seq }
  return JSON.stringify({ ...given({ disclosures: texts }), ...hashes })
}

/** What a proof line holds. Undefined if the line is not the proof of this leaf in its written form. */
export function proofIn(
  line: string,
  leaf_hash: string,
  seq: number,
): { disclosures: HeldText[]; hashes: Uint8Array[] } | undefined {
  const { disclosures, proof } = (parsed(line) ?? {}) as { disclosures?: unknown; proof?: unknown }
  const held = z.array(heldTextSchema).min(1).optional().safeParse(disclosures)
  if (!Array.isArray(proof) || !held.success) return undefined
  if (JSON.stringify({ ...given({ disclosures: held.data }), leaf_hash, proof, seq }) !== line) return undefined
  const hashes = proof.map((hash) => (typeof hash === 'string' ? fromHex(hash) : undefined))
  return hashes.every((hash) => hash !== undefined) ? { disclosures: held.data ?? [], hashes } : undefined
}

/** A text that is disclosed, or the path of one that was erased. */
const heldTextSchema = z.union([
  z.strictObject({ path: z.string(), salt: z.string().regex(/^[0-9a-f]{64}$/), text: z.string() }),
  z.strictObject({ path: z.string() }),
])

/** The entry with its free texts, once each was compared with its commitment; otherwise what is wrong with them. */
export function disclosedEntry(recorded: Entry, disclosures: readonly HeldText[]): Entry | string {
  const held = new Map(disclosures.map((each) => [each.path, each]))
  let count = 0
  for (const { commitment, path } of commitmentsIn(recorded)) {
    const found = held.get(path)
    if (found === undefined) return `the text ${path} of entry ${recorded.seq} is missing`
    if ('text' in found && commitmentTo(found) !== commitment)
      return `the text ${path} of entry ${recorded.seq} is not the one that the entry is committed to`
    count += 1
  }
  if (count !== disclosures.length) return `entry ${recorded.seq} has other texts than it is committed to`
  return count === 0 ? recorded : entryWithTexts(recorded, { text: '', texts: disclosures })
}

/**
 * Yields the lines of a file. Errors: VERIFY_FAILED if a line is too long, or the last line does not end with a
 * newline.
 */
async function* linesOf(files: BundleFiles, wanted: BundleFile, bytesMax: number): AsyncGenerator<string> {
  const check = wanted === 'entries.jsonl' ? 'entries' : 'proofs'
  for await (const { chunks, name } of files()) {
    if (name !== wanted) continue
    let rest = Buffer.alloc(0)
    for await (const chunk of chunks) {
      rest = Buffer.concat([rest, chunk])
      let start = 0
      for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline, start)) {
        yield rest.toString('utf8', start, end)
        start = end + 1
      }
      rest = rest.subarray(start)
      if (rest.length > bytesMax) throw failed(check, `a line of ${wanted} is longer than ${bytesMax} bytes`)
    }
    if (rest.length > 0) throw failed(check, `the last line of ${wanted} does not end with a newline`)
    return
  }
}

const newline = 0x0a

/** Parses JSON. Returns undefined if the text is not valid JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Creates the VERIFY_FAILED error of a check. */
export function failed(check: ExportCheck, what: string, where: Record<string, unknown> = {}): LockstepError {
  return new LockstepError('VERIFY_FAILED', `${check}: ${what}`, { details: { check, ...where } })
}
