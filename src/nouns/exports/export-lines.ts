import type { BundleFile } from '../../domain/export/manifest.ts'
import type { Selected } from '../../domain/export/selection.ts'
import { LockstepError } from '../../errors.ts'
import type { BundleFiles } from '../../files/bundle/bundle-reader.ts'
import { type Entry, entrySchema } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { leafHashOfText } from '../../log/leaf.ts'
import { sha256 } from '../../log/sha256.ts'
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
      const entry = entryIn(line)
      if (entry === undefined) throw failed('entries', `line ${number} is not an entry in canonical form`, where)
      const { done, value } = await proofs.next()
      const leafHash = leafHashOfText(line)
      const hashes = done ? undefined : proofIn(value, toHex(leafHash), entry.seq)
      const claim = { leafHash, proof: hashes ?? [], root, seq: entry.seq, size }
      if (hashes === undefined || !(await verifyInclusion(claim, sha256))) {
        throw failed(
          'proofs',
          `line ${number} does not prove that entry ${entry.seq} is in the tree of size ${size}`,
          where,
        )
      }
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

/** The hashes of a proof line. Undefined if the line is not the proof of this leaf in its written form. */
export function proofIn(line: string, leaf_hash: string, seq: number): Uint8Array[] | undefined {
  const { proof } = (parsed(line) ?? {}) as { proof?: unknown }
  if (!Array.isArray(proof) || JSON.stringify({ leaf_hash, proof, seq }) !== line) return undefined
  const hashes = proof.map((hash) => (typeof hash === 'string' ? fromHex(hash) : undefined))
  return hashes.every((hash) => hash !== undefined) ? hashes : undefined
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
