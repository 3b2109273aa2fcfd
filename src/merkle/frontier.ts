import { type HashSync, hashBytes, isHash, nodeHash } from './hash.ts'

/**
 * All that is needed to append to a tree and to know its root: the roots of the perfect subtrees that `size`
 * leaves fall into, largest first, one for each one-bit of `size`. Never changed; appending gives another.
 * Sizes reach 2^53 - 1, so nothing here uses 32-bit operators on them.
 */
export type Frontier = { readonly size: number; readonly hashes: readonly Uint8Array[] }

/** The frontier of the tree without leaves. */
export const emptyFrontier: Frontier = Object.freeze({ size: 0, hashes: Object.freeze([]) })

/** Told of each inner node that became complete: 2^height leaves hang below it. */
export type NodeCompleted = (height: number, hash: Uint8Array) => void

/** The frontier with one more leaf. **Cost**: one node hash on average, at most 53. */
export function appendLeaf(frontier: Frontier, leafHash: Uint8Array, hash: HashSync): Frontier {
  return appendLeaves(frontier, [leafHash], hash)
}

/**
 * The frontier with more leaves, in order. `completed` hears of each inner node from left to right and from
 * below, so whoever stores nodes need not hash them again.
 * **Errors**: RangeError where a leaf hash is not 32 bytes, the frontier lacks hashes or the size is unsafe.
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
    // Each one-bit at the low end of seq is a perfect subtree that this leaf makes one of twice the size.
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

/** The root of the tree (RFC 6962 §2.1); that of the empty tree is SHA-256 of nothing. */
export function rootOf(frontier: Frontier, hash: HashSync): Uint8Array {
  const smallestFirst = frontier.hashes.toReversed()
  const [smallest, ...larger] = smallestFirst
  if (smallest === undefined) return hash(new Uint8Array(0))
  return larger.reduce((right, left) => nodeHash(left, right, hash), smallest)
}

/**
 * A frontier from stored parts.
 * **Errors**: RangeError where the size is no size, or the hashes are not as many as its one-bits or not hashes.
 */
export function frontierFrom(size: number, hashes: readonly Uint8Array[]): Frontier {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is not the size of a tree`)
  let ones = 0
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2
  if (hashes.length !== ones || !hashes.every(isHash)) {
    throw new RangeError(`a frontier of size ${size} is ${ones} hashes of 32 bytes`)
  }
  return { size, hashes }
}
