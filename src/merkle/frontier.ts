import { type HashSync, hashBytes, isHash, nodeHash } from './hash.ts'

/**
 * All that is needed to append to a tree and to compute its root. `size` leaves form perfect subtrees, one for each
 * one-bit of `size`; `hashes` holds their roots, largest first. A frontier is immutable; appending returns a new one.
 * Sizes reach 2^53 - 1, so no 32-bit operators are used on them.
 */
export type Frontier = { readonly size: number; readonly hashes: readonly Uint8Array[] }

/** The frontier of the empty tree. */
export const emptyFrontier: Frontier = Object.freeze({ size: 0, hashes: Object.freeze([]) })

/** Called for each inner node that became complete. It covers 2^height leaves. */
export type NodeCompleted = (height: number, hash: Uint8Array) => void

/** Appends one leaf and returns the new frontier. **Cost**: one node hash on average, at most 53. */
export function appendLeaf(frontier: Frontier, leafHash: Uint8Array, hash: HashSync): Frontier {
  return appendLeaves(frontier, [leafHash], hash)
}

/**
 * Appends leaves in order and returns the new frontier. `completed` is called for each completed inner node, from left
 * to right and from the bottom up. A caller that stores nodes need not hash them again. **Errors**: RangeError if a
 * leaf hash is not 32 bytes, the frontier lacks hashes, or the size is not a safe integer.
 */
export function appendLeaves(
  frontier: Frontier,
  leafHashes: readonly Uint8Array[],
  hash: HashSync,
  completed?: NodeCompleted,
): Frontier {
  const size = frontier.size + leafHashes.length
  if (!Number.isSafeInteger(size)) throw new RangeError(`a tree of ${size} leaves is too large`)
  const hashes = frontier.hashes.slice()
  let seq = frontier.size
  for (const leafHash of leafHashes) {
    if (leafHash.length !== hashBytes) throw new RangeError(`the leaf hash at seq ${seq} is not 32 bytes`)
    let node = leafHash
    let height = 0
    // For each one-bit at the low end of seq, this leaf completes a perfect subtree of twice the size.
    for (let rest = seq; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = hashes.pop()
      if (left === undefined) throw new RangeError(`a frontier of size ${frontier.size} lacks hashes`)
      node = nodeHash(left, node, hash)
      height += 1
      completed?.(height, node)
    }
    hashes.push(node)
    seq += 1
  }
  return { size, hashes }
}

/** The root of the tree (RFC 6962 §2.1). The root of the empty tree is SHA-256 of no bytes. */
export function rootOf(frontier: Frontier, hash: HashSync): Uint8Array {
  const smallestFirst = frontier.hashes.toReversed()
  const [smallest, ...larger] = smallestFirst
  if (smallest === undefined) return hash(new Uint8Array(0))
  return larger.reduce((right, left) => nodeHash(left, right, hash), smallest)
}

/**
 * Makes a frontier from stored parts. **Errors**: RangeError if the size is invalid, or the hashes are invalid or do
 * not match the number of its one-bits.
 */
export function frontierFrom(size: number, hashes: readonly Uint8Array[]): Frontier {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is not a valid tree size`)
  let ones = 0
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2
  if (hashes.length !== ones || !hashes.every(isHash)) {
    throw new RangeError(`a frontier of size ${size} must have ${ones} hashes of 32 bytes`)
  }
  return { size, hashes }
}
