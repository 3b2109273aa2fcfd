import { sizeIn } from './add-checkpoint.ts'
import { fromBase64, isHash, toBase64 } from './hash.ts'
import { proofHashesMax } from './proofs.ts'
import type { Parsed } from './vkey.ts'

/** The proof that a log contains an entry, with the checkpoint in which it is proven (C2SP tlog-proof). */
export type TlogProof = {
  readonly index: number
  readonly proof: readonly Uint8Array[]
  readonly checkpoint: string
  /** Bytes beside the proof, which nothing authenticates. Lockstep puts the entry there. */
  readonly extra?: Uint8Array
}

const firstLine = 'c2sp.org/tlog-proof@v1'

/** Formats the proof: a first line, lines "extra" and "index", a line for each hash, an empty line, the checkpoint. */
export function formatTlogProof({ checkpoint, extra, index, proof }: TlogProof): string {
  const extraLine = extra === undefined ? '' : `extra ${toBase64(extra)}\n`
  return `${firstLine}\n${extraLine}index ${index}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`
}

/** Parses a proof. The checkpoint is not verified. */
export function parseTlogProof(text: string): Parsed<TlogProof> {
  const end = text.indexOf('\n\n')
  if (end < 0) return { ok: false, reason: 'there is no empty line before the checkpoint' }
  const [first, ...lines] = text.slice(0, end).split('\n')
  if (first !== firstLine) return { ok: false, reason: `the first line is not ${firstLine}` }
  const hasExtra = lines[0]?.startsWith('extra ') === true
  const extra = hasExtra ? fromBase64(lines.shift()?.slice('extra '.length) ?? '') : undefined
  if (hasExtra && extra === undefined) return { ok: false, reason: 'the line "extra" is not base64' }
  const [indexLine = '', ...hashes] = lines
  const index = indexLine.startsWith('index ') ? sizeIn(indexLine.slice('index '.length)) : undefined
  if (index === undefined) return { ok: false, reason: 'there is no line "index" with a number' }
  if (hashes.length > proofHashesMax) return { ok: false, reason: `the proof has more than ${proofHashesMax} hashes` }
  const proof = hashes.map(fromBase64)
  if (!proof.every(isHash)) return { ok: false, reason: 'a line of the proof is not 32 bytes in base64' }
  const checkpoint = text.slice(end + 2)
  return { ok: true, value: { index, proof, checkpoint, ...(extra === undefined ? {} : { extra }) } }
}
