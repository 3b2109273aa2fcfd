import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { leafHashOf } from '../log/leaf.ts'
import type { Log } from '../log/log.ts'
import { sha256 } from '../log/sha256.ts'
import { entryAt, overTiles, rootOf } from '../log/tiles.ts'
import { toHex } from '../merkle/hash.ts'
import { consistencyProof, inclusionProof } from '../merkle/proofs.ts'
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
export async function signedHeadOf({ layout, log }: Ground, size?: number): Promise<SignedHead> {
  const at = sizeUpTo(log, size)
  const signer = await signerOf(log, layout)
  const checkpoint = await checkpointOf(log, signer, at)
  return { checkpoint, vkey: signer.vkey, size: at, root: toHex(await rootOf(log, at)) }
}

/** Errors: NOT_FOUND past the end, and the errors of `signedHeadOf`. */
export async function proofOf(ground: Ground, seq: number, size?: number): Promise<EntryProof> {
  const { log } = ground
  const { checkpoint, root, size: at, vkey } = await signedHeadOf(ground, size)
  const entry = isSeq(seq) && seq < at ? await entryAt(log, seq) : undefined
  if (entry === undefined) throw notFound(seq, at)
  const proof = (await overTiles(log, (tiles) => inclusionProof(seq, at, tiles, sha256))).map(toHex)
  return { seq, size: at, root, leaf_hash: toHex(leafHashOf(entry)), proof, entry, checkpoint, vkey }
}

/** Errors: INVALID_INPUT. */
export async function consistencyOf({ log }: Ground, from: number, to?: number): Promise<ConsistencyProof> {
  const at = sizeUpTo(log, to)
  if (!isSeq(from) || from > at)
    throw new LockstepError('INVALID_INPUT', `from must be a size of 0 to ${at}, not ${from}`)
  const proof = (await overTiles(log, (tiles) => consistencyProof(from, at, tiles, sha256))).map(toHex)
  return { from, from_root: toHex(await rootOf(log, from)), to: at, to_root: toHex(await rootOf(log, at)), proof }
}

function sizeUpTo(log: Log, size: number | undefined): number {
  const published = log.head().size
  if (size === undefined) return published
  if (isSeq(size) && size <= published) return size
  throw new LockstepError('INVALID_INPUT', `size must be 0 to ${published}, not ${size}`)
}
