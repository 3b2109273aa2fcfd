import { isRecord } from '../merkle/entry-line.ts'
import { toHex } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/proofs.ts'
import { signedHead, type Trust } from './checkpoint.ts'
import { type Failed, failed, guarded } from './result.ts'
import { hashesOf, hashOf, isSize, sha256 } from './values.ts'

/**
 * Two trees; the smaller was proven to be the beginning of the larger. `authenticity` is checked if the roots are those
 * of signed checkpoints, and unchecked if they come from whoever delivered the proof.
 */
export type VerifiedGrowth = {
  ok: true
  from: number
  from_root: string
  to: number
  to_root: string
  authenticity: 'checked' | 'unchecked'
}

/**
 * Verifies that a ledger only grew between two checkpoints (signed notes) of the same key. `proof` is the member of that
 * name of `lockstep consistency FROM TO --json`: hashes in hex. Only signed roots are compared, so the answer does not
 * depend on who delivered the proof. With a policy, the new checkpoint must be cosigned.
 */
export function verifyGrowth(
  oldNote: unknown,
  newNote: unknown,
  proof: unknown,
  trust: string | Trust,
): Promise<VerifiedGrowth | Failed> {
  return guarded(async () => {
    // The caller kept the old checkpoint, so only the new one needs witnesses.
    const kept = isRecord(trust) ? trust.vkey : trust
    const [old, grown] = [await signedHead(oldNote, kept), await signedHead(newNote, trust)]
    if (!old.ok) return old
    if (!grown.ok) return grown
    const claim = { from: old.size, from_root: old.root, proof, to: grown.size, to_root: grown.root }
    return consistent(claim, 'checked')
  })
}

/**
 * Verifies the document `{ from, from_root, to, to_root, proof }`, with hashes in hex: the tree of `to` entries begins
 * with the tree of `from` entries. Nothing here proves whose roots these are, so the answer is unchecked: compare its
 * roots with those of checkpoints that you kept, or use `verifyGrowth`.
 */
export function verifyConsistencyProof(document: unknown): Promise<VerifiedGrowth | Failed> {
  return guarded(() => consistent(document, 'unchecked'))
}

async function consistent(
  document: unknown,
  authenticity: VerifiedGrowth['authenticity'],
): Promise<VerifiedGrowth | Failed> {
  if (!isRecord(document)) return failed('document', 'the document is not an object')
  const { from, from_root, to, to_root, proof } = document
  if (!isSize(from) || !isSize(to)) return failed('document', 'from or to is not a whole number')
  const [fromRoot, toRoot] = [hashOf(from_root), hashOf(to_root)]
  if (fromRoot === undefined || toRoot === undefined) {
    return failed('document', 'from_root or to_root is not 32 bytes in hex')
  }
  const hashes = hashesOf(proof)
  if (hashes === undefined) return failed('document', 'proof is not a list of 32-byte hashes in hex')
  if (!(await verifyConsistency({ from, fromRoot, to, toRoot, proof: hashes }, sha256))) {
    return failed(
      'consistency',
      `the proof does not show that the tree of size ${to} begins with the tree of size ${from}`,
    )
  }
  return { ok: true, from, from_root: toHex(fromRoot), to, to_root: toHex(toRoot), authenticity }
}
