import { toHex } from '../merkle/hash.ts'
import { parseTlogProof } from '../merkle/tlog-proof.ts'
import { signedHead, type Trust } from './checkpoint.ts'
import { included, type VerifiedProof } from './entry.ts'
import { type Failed, failed, guarded } from './result.ts'

/** An entry that was proven to be in a tree whose head is authentic, and its canonical JSON line. */
export type VerifiedTlogProof = Omit<VerifiedProof, 'texts' | 'withheld'> & { line: string }

/**
 * Verifies the text that `lockstep prove <seq> --format tlog-proof` prints (C2SP tlog-proof). The entry is in its line
 * "extra", which is not believed: the proof is over the leaf hash of that entry. A proof of another log has no entry
 * there, so the caller passes it as `line`.
 */
export function verifyTlogProof(text: unknown, trust: Trust, line?: string): Promise<VerifiedTlogProof | Failed> {
  return guarded(async () => {
    if (typeof text !== 'string') return failed('document', 'the proof is not a text')
    const parsed = parseTlogProof(text)
    if (!parsed.ok) return failed('document', parsed.reason)
    const { checkpoint, extra, index, proof } = parsed.value
    const entry = line ?? textOf(extra)
    if (entry === undefined) return failed('entry', 'the proof has no entry, and none was passed')
    const head = await signedHead(checkpoint, trust)
    if (!head.ok) return head
    const claim = { line: entry, seq: index, size: head.size, proof: proof.map(toHex), root: head.root }
    const verified = await included(claim)
    if (!verified.ok) return verified
    const { ok: _, origin: __, root, size, ...witnessed } = head
    return { ...verified, ...witnessed, authenticity: 'checked', line: entry, root, size }
  })
}

/** Undefined if there are no bytes, or they are not valid UTF-8. */
function textOf(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
