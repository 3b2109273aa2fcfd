import type { BundleFile } from '../../domain/export/manifest.ts'
import type { Selected } from '../../domain/export/selection.ts'
import { LockstepError } from '../../errors.ts'
import type { BundleFiles } from '../../files/bundle/bundle-reader.ts'
import { type Entry, entrySchema } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { leafHashOfText } from '../../log/leaf.ts'
import { sha256 } from '../../log/sha256.ts'
import { entryLine } from '../../merkle/entry-line.ts'
import { toHex } from '../../merkle/hash.ts'
import { verifyInclusion } from '../../merkle/proofs.ts'
import { disclosedEntry, proofIn, type TextCounts } from './disclosed-entry.ts'

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
 * Checks every line: it is an entry in canonical form, its proof is valid, its free texts match their commitments unless
 * they are withheld, and it follows the previous selected entry. Returns how many free texts there are of each kind.
 */
export async function checkEntries(
  files: BundleFiles,
  selected: Selected,
  { root, size, withheld }: { root: Uint8Array; size: number; withheld: readonly string[] },
): Promise<TextCounts> {
  const counts: TextCounts = { disclosed: 0, erased: 0, withheld: 0 }
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
      const entry = disclosedEntry(recorded, read.disclosures, { counts, withheld })
      if (typeof entry === 'string') throw failed('proofs', `line ${number}: ${entry}`, where)
      const wrong = selected.take(entry)
      if (wrong !== undefined) throw failed('entries', `line ${number}: entry ${entry.seq} ${wrong}`, where)
    }
    if (!(await proofs.next()).done) throw failed('proofs', `there are more proofs than the ${number} entries`)
    return counts
  } finally {
    await proofs.return(undefined)
  }
}

/** The entry of a line; undefined if the line is not an entry in canonical form. */
export function entryIn(line: string): Entry | undefined {
  const value = parsed(line)
  return entryLine(value) === line && entrySchema.safeParse(value).success ? (value as Entry) : undefined
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
