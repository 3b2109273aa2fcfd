import { type Hash, type HashSync, isHash, nodeHashLater, sameBytes } from './hash.ts'
import { rootOfRange, type TileReader } from './tiles.ts'

/**
 * No proof about a tree of up to 2^53 - 1 leaves is longer than this. A longer proof is rejected without being read.
 */
export const proofHashesMax = 64

/** The claim that the leaf at `seq` is in the tree of `size` leaves with this root. */
export type InclusionClaim = {
  readonly leafHash: Uint8Array
  readonly seq: number
  readonly size: number
  readonly proof: readonly Uint8Array[]
  readonly root: Uint8Array
}

/** The claim that the tree of `to` leaves begins with the tree of `from` leaves. */
export type ConsistencyClaim = {
  readonly from: number
  readonly fromRoot: Uint8Array
  readonly to: number
  readonly toRoot: Uint8Array
  readonly proof: readonly Uint8Array[]
}

/**
 * Whether an inclusion claim holds (RFC 9162 §2.1.3.2). Invalid input of any kind gives false and never throws. Only
 * the root and seq are bound: a proof may also fit a neighbouring size, so take `size` and `root` from the same
 * checkpoint.
 */
export async function verifyInclusion(claim: InclusionClaim, hash: Hash): Promise<boolean> {
  const { leafHash, seq, size, proof, root } = claim
  if (!isSize(size) || !isSize(seq) || seq >= size) return false
  if (!isHash(leafHash) || !isHash(root) || !isProof(proof)) return false
  const path = walk(seq, size - 1)
  let node = leafHash
  for (const sibling of proof) {
    const side = path.next()
    if (side.done === true) return false
    node = await (side.value === 'left' ? nodeHashLater(sibling, node, hash) : nodeHashLater(node, sibling, hash))
  }
  return path.next().done === true && sameBytes(node, root)
}

/**
 * Whether a consistency claim holds (RFC 9162 §2.1.4.2). Invalid input of any kind gives false and never throws. For
 * equal sizes, the roots must be equal and the proof empty. Every tree begins with the empty tree, whose root is
 * SHA-256 of no bytes. So the proof from 0 is empty too, and says nothing about `toRoot`.
 */
export async function verifyConsistency(claim: ConsistencyClaim, hash: Hash): Promise<boolean> {
  const { from, fromRoot, to, toRoot, proof } = claim
  if (!isSize(from) || !isSize(to) || from > to) return false
  if (!isHash(fromRoot) || !isHash(toRoot) || !isProof(proof)) return false
  if (from === 0 && !sameBytes(fromRoot, await hash(new Uint8Array(0)))) return false
  if (from === to) return proof.length === 0 && sameBytes(fromRoot, toRoot)
  if (from === 0) return proof.length === 0

  // Both trees share the largest subtree that ends at `from`. If that is the whole old tree, its hash is already known.
  let last = from - 1
  let lastOfTo = to - 1
  for (; last % 2 === 1; last = half(last)) lastOfTo = half(lastOfTo)
  const [shared, ...rest] = last === 0 ? [fromRoot, ...proof] : proof
  if (shared === undefined) return false
  const path = walk(last, lastOfTo)
  let node = shared
  let nodeOfTo = shared
  for (const sibling of rest) {
    const side = path.next()
    if (side.done === true) return false
    if (side.value === 'left') {
      node = await nodeHashLater(sibling, node, hash)
      nodeOfTo = await nodeHashLater(sibling, nodeOfTo, hash)
    } else {
      nodeOfTo = await nodeHashLater(nodeOfTo, sibling, hash)
    }
  }
  return path.next().done === true && sameBytes(node, fromRoot) && sameBytes(nodeOfTo, toRoot)
}

/**
 * The sides of the siblings on the path from node `at` up to the root. `last` is the last node of the same height. A
 * node without a sibling moves up without being hashed.
 */
function* walk(at: number, last: number): Generator<'left' | 'right', undefined> {
  let node = at
  for (let end = last; end > 0; end = half(end)) {
    if (node % 2 === 1) yield 'left'
    else if (node < end) yield 'right'
    node = half(node)
  }
}

/**
 * The hashes that prove the leaf at `seq` in the tree of `size` leaves, from the bottom up (RFC 6962 §2.1.1).
 * **Errors**: RangeError if seq is not below size, or if a tile is missing or too short; the message names the tile.
 */
export function inclusionProof(seq: number, size: number, reader: TileReader, hash: HashSync): Uint8Array[] {
  return inclusionProofs(size, reader, hash)(seq)
}

/**
 * Inclusion proofs for a series of leaves of one tree. With ascending seqs, hashes shared with the previous proof are
 * not computed again, so each proof costs only a few hashes. **Errors**: as for `inclusionProof`.
 */
export function inclusionProofs(size: number, reader: TileReader, hash: HashSync): (seq: number) => Uint8Array[] {
  const known: { begin: number; end: number; root: Uint8Array }[] = []
  const rootAtDepth = (depth: number, begin: number, end: number) => {
    const last = known[depth]
    if (last?.begin === begin && last.end === end) return last.root
    const root = rootOfRange(begin, end, reader, hash)
    known[depth] = { begin, end, root }
    return root
  }
  return (seq) => {
    if (!isSize(seq) || !isSize(size) || seq >= size) throw new RangeError(`a tree of size ${size} has no leaf ${seq}`)
    const fromAbove: Uint8Array[] = []
    let begin = 0
    let end = size
    while (end - begin > 1) {
      const split = begin + splitWidth(end - begin)
      if (seq < split) {
        fromAbove.push(rootAtDepth(fromAbove.length, split, end))
        end = split
      } else {
        fromAbove.push(rootAtDepth(fromAbove.length, begin, split))
        begin = split
      }
    }
    return fromAbove.reverse()
  }
}

/**
 * The hashes that prove that the tree of `to` leaves begins with the tree of `from` leaves, from the bottom up (RFC
 * 6962 §2.1.2). Empty if `from` is 0 or `to`. **Errors**: RangeError if from is above to, or if a tile is missing or
 * too short; the message names the tile.
 */
export function consistencyProof(from: number, to: number, reader: TileReader, hash: HashSync): Uint8Array[] {
  if (!isSize(from) || !isSize(to) || from > to)
    throw new RangeError(`a tree cannot grow from size ${from} to size ${to}`)
  if (from === 0) return []
  const fromAbove: Uint8Array[] = []
  let begin = 0
  let end = to
  while (from < end) {
    const split = begin + splitWidth(end - begin)
    if (from <= split) {
      fromAbove.push(rootOfRange(split, end, reader, hash))
      end = split
    } else {
      fromAbove.push(rootOfRange(begin, split, reader, hash))
      begin = split
    }
  }
  // If the remaining range begins at 0, it is the whole old tree, whose root the verifier already has.
  if (begin > 0) fromAbove.push(rootOfRange(begin, end, reader, hash))
  return fromAbove.reverse()
}

/** The largest power of two below a width of at least 2. RFC 6962 splits a tree there. */
function splitWidth(width: number): number {
  let split = 1
  while (split * 2 < width) split *= 2
  return split
}

/** Half of a value, rounded down. A shift would truncate it to 32 bits. */
function half(value: number): number {
  return Math.floor(value / 2)
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isProof(value: unknown): value is readonly Uint8Array[] {
  // Array.from fills holes, which `every` would skip.
  return Array.isArray(value) && value.length <= proofHashesMax && Array.from(value).every(isHash)
}
