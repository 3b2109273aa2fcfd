import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConsistencyClaim, InclusionClaim } from '../../src/merkle/proofs.ts'
import type { Tile, TileReader } from '../../src/merkle/tiles.ts'
import { root } from '../runner.ts'

// What the tests hold src/merkle to: RFC 6962's recursive definitions, written down as they stand there, over
// nothing of src but types.

/** SHA-256 by Node. */
export const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer')

/** SHA-256 by WebCrypto, as a browser has it. */
export const sha256Later = async (bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))

/** The leaf hash that every generated tree has at a seq. */
export const leafAt = (seq: number): Uint8Array => sha256(Buffer.from(`\0leaf ${seq}`))

export const leavesTo = (size: number): Uint8Array[] => Array.from({ length: size }, (_, seq) => leafAt(seq))

/** MTH(D[begin:end]) for begin < end. */
export type RangeRoot = (begin: number, end: number) => Uint8Array

/** RFC 6962 §2.1 over leaf hashes; each range is hashed once. */
export function rangeRootOf(leafHashes: readonly Uint8Array[]): RangeRoot {
  const known = new Map<string, Uint8Array>()
  const root: RangeRoot = (begin, end) => {
    const key = `${begin}-${end}`
    const found = known.get(key) ?? compute(begin, end)
    known.set(key, found)
    return found
  }
  const compute: RangeRoot = (begin, end) => {
    if (end - begin === 1) return leafHashes[begin] ?? bytesOf('')
    const split = begin + splitOf(end - begin)
    return nodeOf(root(begin, split), root(split, end))
  }
  return root
}

/**
 * A tree of any size up to 2^53 - 1, the leaves of which repeat after 256, so that all perfect subtrees of one
 * height from 8 on are the same.
 */
export function repeatingRoot(): RangeRoot {
  const first = rangeRootOf(leavesTo(256))
  const perfect = [first(0, 256)]
  const root: RangeRoot = (begin, end) => {
    const width = end - begin
    if (width <= 256 && Math.floor(begin / 256) === Math.floor((end - 1) / 256)) {
      return first(begin % 256, (begin % 256) + width)
    }
    const split = splitOf(width)
    if (split * 2 !== width) return nodeOf(root(begin, begin + split), root(begin + split, end))
    const height = Math.round(Math.log2(width)) - 8
    const below = perfect[height - 1] ?? root(begin, begin + split)
    const here = perfect[height] ?? nodeOf(below, below)
    perfect[height] = here
    return here
  }
  return root
}

/** RFC 6962 §2.1.1: PATH(seq, D[begin:end]). */
export function pathOf(seq: number, begin: number, end: number, root: RangeRoot): Uint8Array[] {
  if (end - begin === 1) return []
  const split = begin + splitOf(end - begin)
  return seq < split
    ? [...pathOf(seq, begin, split, root), root(split, end)]
    : [...pathOf(seq, split, end, root), root(begin, split)]
}

/** RFC 6962 §2.1.2: SUBPROOF(from, D[begin:end], whole), where `from` counts from 0 and not from `begin`. */
function subproofOf(from: number, begin: number, end: number, whole: boolean, root: RangeRoot): Uint8Array[] {
  if (from === end) return whole ? [] : [root(begin, end)]
  const split = begin + splitOf(end - begin)
  return from <= split
    ? [...subproofOf(from, begin, split, whole, root), root(split, end)]
    : [...subproofOf(from, split, end, false, root), root(begin, split)]
}

/** The true claim that a leaf stands in the tree of a size. */
export function inclusionOf(seq: number, size: number, root: RangeRoot): InclusionClaim {
  return { leafHash: root(seq, seq + 1), seq, size, proof: pathOf(seq, 0, size, root), root: root(0, size) }
}

/** The true claim that the tree of a size begins with that of another. */
export function consistencyOf(from: number, to: number, root: RangeRoot): ConsistencyClaim {
  const rootAt = (size: number) => (size === 0 ? sha256(new Uint8Array(0)) : root(0, size))
  const proof = from === 0 ? [] : subproofOf(from, 0, to, true, root)
  return { from, fromRoot: rootAt(from), to, toRoot: rootAt(to), proof }
}

/** All tiles of a tree, by the definition of C2SP tlog-tiles; each is put together once. */
export function tilesOf(size: number, root: RangeRoot): TileReader {
  const known = new Map<string, Uint8Array>()
  return {
    tile(level, index) {
      const span = 256 ** level
      const count = Math.max(0, Math.min(256, Math.floor(size / span) - index * 256))
      if (count === 0) return undefined
      const first = index * 256
      const hashAt = (_: unknown, at: number) => root((first + at) * span, (first + at + 1) * span)
      const key = `${level}/${index}`
      const tile = known.get(key) ?? new Uint8Array(Buffer.concat(Array.from({ length: count }, hashAt)))
      known.set(key, tile)
      return tile
    },
  }
}

/** A store of tiles in memory, and what was put there, in order. */
export function tileStore(): TileReader & { put(tiles: readonly Tile[]): void; puts: Tile[] } {
  const tiles = new Map<string, Uint8Array>()
  const puts: Tile[] = []
  return {
    puts,
    tile: (level, index) => tiles.get(`${level}/${index}`),
    put(added) {
      for (const tile of added) tiles.set(`${tile.level}/${tile.index}`, tile.hashes)
      puts.push(...added)
    },
  }
}

/** A file of fixtures. */
export function fixture<Rows>(path: string): Rows {
  return JSON.parse(readFileSync(join(root, 'fixtures', path), 'utf8')) as Rows
}

/** The reference vectors of Certificate Transparency. */
export type Rfc6962 = {
  leaves: string[]
  roots: string[]
  nodes: string[][]
  inclusion: { seq: number; size: number; proof: string[] }[]
  consistency: { from: number; to: number; proof: string[] }[]
}

function nodeOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([Buffer.of(1), left, right]))
}

/** The largest power of two below n. */
function splitOf(n: number): number {
  let split = 1
  while (split * 2 < n) split *= 2
  return split
}
