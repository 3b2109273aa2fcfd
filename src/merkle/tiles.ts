import { appendLeaves, emptyFrontier, type Frontier, rootOf } from './frontier.ts'
import { concatBytes, type HashSync, hashBytes, nodeHash } from './hash.ts'

/**
 * A tile (C2SP tlog-tiles): up to 256 consecutive node hashes of 32 bytes each. The tile `index` of `level` holds the
 * nodes 256·index … 256·index+255 of height 8·level, so level 0 holds leaf hashes.
 */
export type Tile = { readonly level: number; readonly index: number; readonly hashes: Uint8Array }

/** Reads tiles. The last tile of a level may be partial; it then holds only the hashes that exist. */
export type TileReader = { tile(level: number, index: number): Uint8Array | undefined }

/** The number of hashes in a full tile. */
export const tileWidth = 256
const tileHeight = 8

/**
 * The part of the tree that a log keeps in memory: its frontier, and `partial`, the size mod 256 leaf hashes of the
 * last tile of level 0. That tile is stored only when it is full. A tree is immutable; growing returns a new one.
 */
export type Tree = { readonly frontier: Frontier; readonly partial: readonly Uint8Array[] }

/** The empty tree. */
export const emptyTree: Tree = Object.freeze({ frontier: emptyFrontier, partial: Object.freeze([]) })

/**
 * Appends leaves and returns the tiles to store with them: the tiles of level 0 that became full, and all tiles of
 * higher levels that grew (once in 256 leaves). Each tile is returned whole, and only in its final form. `stored` reads
 * the tiles that earlier calls returned. **Cost**: no node hashes beyond those of the frontier. **Errors**: RangeError
 * if the partial tile or a stored tile does not fit the size.
 */
export function growTree(
  tree: Tree,
  leafHashes: readonly Uint8Array[],
  stored: TileReader,
  hash: HashSync,
): { tree: Tree; tiles: Tile[] } {
  const { size } = tree.frontier
  if (tree.partial.length !== size % tileWidth)
    throw new RangeError(`the partial tile does not fit a tree of size ${size}`)
  const nodesByLevel = new Map<number, Uint8Array[]>()
  const frontier = appendLeaves(tree.frontier, leafHashes, hash, (height, node) => {
    if (height % tileHeight !== 0) return
    const level = height / tileHeight
    const nodes = nodesByLevel.get(level)
    if (nodes === undefined) nodesByLevel.set(level, [node])
    else nodes.push(node)
  })
  const leaves = [...tree.partial, ...leafHashes]
  const full = leaves.length - (leaves.length % tileWidth)
  const tiles = tilesFrom(0, Math.floor(size / tileWidth), leaves.slice(0, full))
  for (const [level, nodes] of nodesByLevel) {
    const before = Math.floor(size / tileWidth ** level)
    const index = Math.floor(before / tileWidth)
    const kept = storedHashes(level, index, before % tileWidth, stored)
    tiles.push(...tilesFrom(level, index, [...kept, ...nodes]))
  }
  return { tree: { frontier, partial: leaves.slice(full) }, tiles }
}

/** Splits the hashes of a level into tiles. The first hash begins a tile. */
function tilesFrom(level: number, firstIndex: number, hashes: readonly Uint8Array[]): Tile[] {
  const tiles: Tile[] = []
  for (let at = 0; at < hashes.length; at += tileWidth) {
    const index = firstIndex + at / tileWidth
    tiles.push({ level, index, hashes: concatBytes(...hashes.slice(at, at + tileWidth)) })
  }
  return tiles
}

/** The hashes of a tile that is about to grow. A wrong width would make every later tile wrong, so it is checked. */
function storedHashes(level: number, index: number, width: number, stored: TileReader): Uint8Array[] {
  if (width === 0) return []
  const tile = stored.tile(level, index)
  if (tile?.length !== width * hashBytes) {
    throw new RangeError(`${tilePath(level, index)} is ${tile?.length ?? 0} bytes instead of ${width} hashes`)
  }
  return Array.from({ length: width }, (_, at) => tile.subarray(at * hashBytes, (at + 1) * hashBytes))
}

/** Reads stored tiles, and the partial tile of level 0 from memory. This is enough for every proof about this tree. */
export function readerOf(tree: Tree, stored: TileReader): TileReader {
  const last = Math.floor(tree.frontier.size / tileWidth)
  return {
    tile: (level, index) => (level === 0 && index === last ? concatBytes(...tree.partial) : stored.tile(level, index)),
  }
}

/**
 * The root at any size that the tiles cover. **Errors**: RangeError that names the tile that is missing or too short.
 */
export function rootAt(size: number, reader: TileReader, hash: HashSync): Uint8Array {
  return rootOf(frontierAt(size, reader, hash), hash)
}

/** The frontier at any size that the tiles cover. **Errors**: as for `rootAt`. */
export function frontierAt(size: number, reader: TileReader, hash: HashSync): Frontier {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is not a valid tree size`)
  return frontierOfRange(0, size, reader, hash)
}

/**
 * MTH(D[begin:end]) in RFC 6962. In its recursion, `begin` is always a multiple of a power of two that is at least as
 * large as the range. The perfect subtrees of the range are therefore nodes of the whole tree. **Errors**: as for
 * `rootAt`.
 */
export function rootOfRange(begin: number, end: number, reader: TileReader, hash: HashSync): Uint8Array {
  return rootOf(frontierOfRange(begin, end, reader, hash), hash)
}

function frontierOfRange(begin: number, end: number, reader: TileReader, hash: HashSync): Frontier {
  const hashes: Uint8Array[] = []
  for (let at = begin; at < end; ) {
    let height = 0
    let width = 1
    for (; width * 2 <= end - at; width *= 2) height += 1
    hashes.push(nodeHashAt(height, at / width, reader, hash))
    at += width
  }
  return { size: end - begin, hashes }
}

/**
 * The hash of the node over the leaves index·2^height … (index+1)·2^height - 1, all of which must exist. **Cost**: one
 * tile read and at most 127 node hashes. **Errors**: RangeError that names the tile that lacks it.
 */
export function nodeHashAt(height: number, index: number, reader: TileReader, hash: HashSync): Uint8Array {
  const level = Math.floor(height / tileHeight)
  const span = 2 ** (height % tileHeight)
  const tileIndex = Math.floor((index * span) / tileWidth)
  const offset = (index * span) % tileWidth
  const tile = reader.tile(level, tileIndex)
  if (tile === undefined || tile.length < (offset + span) * hashBytes) {
    throw new RangeError(`${tilePath(level, tileIndex)} lacks hash ${offset + span - 1}`)
  }
  return subtreeRoot(tile.subarray(offset * hashBytes, (offset + span) * hashBytes), hash)
}

/**
 * The root over consecutive hashes, as in a tile. Their number must be a power of two. The result is a copy, not a
 * view. **Errors**: RangeError for any other number of hashes.
 */
export function subtreeRoot(hashes: Uint8Array, hash: HashSync): Uint8Array {
  const count = hashes.length / hashBytes
  if (!Number.isInteger(count) || count === 0 || (count & (count - 1)) !== 0) {
    throw new RangeError(`${hashes.length} bytes do not hold a power of two of hashes`)
  }
  const nodes = new Uint8Array(hashes)
  for (let width = count; width > 1; width /= 2) {
    for (let at = 0; at < width; at += 2) {
      const left = nodes.subarray(at * hashBytes, (at + 1) * hashBytes)
      const right = nodes.subarray((at + 1) * hashBytes, (at + 2) * hashBytes)
      nodes.set(nodeHash(left, right, hash), (at / 2) * hashBytes)
    }
  }
  return nodes.slice(0, hashBytes)
}

/**
 * What a tile is named by: a tile of hashes by its level, or the bundle of the entries under a tile of level 0. A width
 * below 256 names a partial one, which has only the first `width` hashes or entries.
 */
export type TileName = { readonly level: number | 'entries'; readonly index: number; readonly width: number }

/**
 * The path of a tile in C2SP tlog-tiles: `tile/0/x001/067`, and `tile/0/x001/067.p/5` for a partial tile of width 5.
 */
export function tilePath(level: TileName['level'], index: number, width = tileWidth): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  }
  return `tile/${level}/${groups.join('/')}${width < tileWidth ? `.p/${width}` : ''}`
}

/** The tile that a path names; undefined for any text that `tilePath` does not write. */
export function parseTilePath(path: string): TileName | undefined {
  const [, levelText, groups = '', widthText] =
    /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path) ?? []
  const level = levelText === 'entries' ? levelText : Number(levelText)
  const index = Number(groups.replace(/[x/]/g, ''))
  const width = widthText === undefined ? tileWidth : Number(widthText)
  if (!Number.isSafeInteger(index) || width === 0 || tilePath(level, index, width) !== path) return undefined
  return { level, index, width }
}
