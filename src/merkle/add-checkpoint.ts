import { fromBase64, isHash, toBase64 } from './hash.ts'
import type { Parsed } from './vkey.ts'

/**
 * What a log sends to a witness (C2SP tlog-witness): the size that the witness cosigned last, the proof from that size,
 * and the signed checkpoint.
 */
export type Submission = {
  readonly old: number
  readonly proof: readonly Uint8Array[]
  readonly checkpoint: string
}

/** A request has at most this many hashes (C2SP tlog-witness). */
const proofHashesMax = 63

/** The content type of an answer that names the size which the witness cosigned last. */
export const sizeType = 'text/x.tlog.size'

/** Formats the line `old N`, a line of base64 for each hash, an empty line, and the checkpoint. */
export function formatSubmission({ checkpoint, old, proof }: Submission): string {
  return `old ${old}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`
}

/** Parses only what `formatSubmission` writes. The checkpoint is not verified. */
export function parseSubmission(body: string): Parsed<Submission> {
  const end = body.indexOf('\n\n')
  if (end < 0) return { ok: false, reason: 'there is no empty line before the checkpoint' }
  const [first = '', ...lines] = body.slice(0, end).split('\n')
  const old = first.startsWith('old ') ? sizeIn(first.slice('old '.length)) : undefined
  if (old === undefined) return { ok: false, reason: 'the first line is not "old" and a size' }
  if (lines.length > proofHashesMax) return { ok: false, reason: `the proof has more than ${proofHashesMax} hashes` }
  const proof = lines.map(fromBase64)
  if (!proof.every(isHash)) return { ok: false, reason: 'a line of the proof is not 32 bytes in base64' }
  return { ok: true, value: { old, proof, checkpoint: body.slice(end + 2) } }
}

/** A size in plain decimal, without leading zeros; undefined for any other text. */
export function sizeIn(text: string): number | undefined {
  const size = Number(text)
  return /^(0|[1-9][0-9]*)$/.test(text) && Number.isSafeInteger(size) ? size : undefined
}
