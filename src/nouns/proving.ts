import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Log } from '../log/keyed/log.ts'
import { leafHashOf } from '../log/leaf.ts'
import { toHex } from '../merkle/hash.ts'
import { isSeq, notFound } from './seq.ts'
import { checkpointOf, signerOf } from './signer.ts'

export interface TreeHead {
  origin: string
  size: number
  /** Hex. */
  root: string
}

/** A tree head as a signed note, and the key line that verifies it. */
export interface SignedHead {
  checkpoint: string
  vkey: string
  size: number
  /** Hex. */
  root: string
}

/** A proof that an entry is in the tree of a size. Hashes are hex. */
export interface EntryProof extends SignedHead {
  seq: number
  leaf_hash: string
  proof: string[]
  entry: Entry
}

/** A proof that one tree begins with another. Hashes are hex. */
export interface ConsistencyProof {
  from: number
  from_root: string
  to: number
  to_root: string
  proof: string[]
}

interface Ground {
  layout: Layout
  log: Log
}

/** Errors: LEDGER_CORRUPT (not the key that entry 0 names), FILE_DENIED, NOT_FOUND (no key), INVALID_INPUT. */
export function signedHeadOf({ layout, log }: Ground, size?: number): SignedHead {
  const at = sizeUpTo(log, size)
  const signer = signerOf(log, layout)
  return { checkpoint: checkpointOf(log, signer, at), vkey: signer.vkey, size: at, root: toHex(log.rootAt(at)) }
}

/** Errors: NOT_FOUND past the end, and the errors of `signedHeadOf`. */
export function proofOf(ground: Ground, seq: number, size?: number): EntryProof {
  const { log } = ground
  const { checkpoint, root, size: at, vkey } = signedHeadOf(ground, size)
  const entry = isSeq(seq) && seq < at ? log.entry(seq) : undefined
  if (entry === undefined) throw notFound(seq, at)
  const proof = log.inclusionProof(seq, at).map(toHex)
  return { seq, size: at, root, leaf_hash: toHex(leafHashOf(entry)), proof, entry, checkpoint, vkey }
}

/** Errors: INVALID_INPUT. */
export function consistencyOf({ log }: Ground, from: number, to?: number): ConsistencyProof {
  const at = sizeUpTo(log, to)
  if (!isSeq(from) || from > at)
    throw new LockstepError('INVALID_INPUT', `from must be a size of 0 to ${at}, not ${from}`)
  const proof = log.consistencyProof(from, at).map(toHex)
  return { from, from_root: toHex(log.rootAt(from)), to: at, to_root: toHex(log.rootAt(at)), proof }
}

function sizeUpTo(log: Log, size: number | undefined): number {
  const published = log.head().size
  if (size === undefined) return published
  if (isSeq(size) && size <= published) return size
  throw new LockstepError('INVALID_INPUT', `size must be 0 to ${published}, not ${size}`)
}
