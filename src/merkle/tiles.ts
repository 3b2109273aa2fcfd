import { appendLeaves, emptyFrontier, type Frontier, rootOf } from './frontier.ts'
import { concatBytes, type HashSync, hashBytes, nodeHash } from './hash.ts'

/**
 * A tile (C2SP tlog-tiles): up to 256 neighbouring node hashes, 32 bytes each, one after the other. The tile
 * `index` of `level` holds the nodes 256·index … 256·index+255 of height 8·level, so level 0 holds leaf hashes.
 */
export type Tile = { readonly level: number; readonly index: number; readonly hashes: Uint8Array }

/** Where tiles are read. The last tile of a level is partial and holds exactly the hashes that exist. */
export type TileReader = { tile(level: number, index: number): Uint8Array | undefined }

/** Hashes in a full tile. */
export const tileWidth = 256
const tileHeight = 8

/**
 * The tree as a log keeps it in memory: what it needs to append, and the leaf hashes of the last tile of level 0,
 * which is stored only once it is full (`partial` is size mod 256 hashes). Never changed; growing gives another.
 */
export type Tree = { readonly frontier: Frontier; readonly partial: readonly Uint8Array[] }

/** The tree without leaves. */
export const emptyTree: Tree = Object.freeze({ frontier: emptyFrontier, partial: Object.freeze([]) })

/**
 * Appends leaves and names the tiles to store with them: those of level 0 that became full, and of each higher
 * level every tile that grew, whole (once in 256 leaves), each only in its last form. `stored` holds what earlier
 * calls gave. **Cost**: no node hash beyond those of the frontier.
 * **Errors**: RangeError where the partial tile or a stored one does not fit the size.
 */
export function growTree(
  tree: Tree,
  leafHashes: readonly Uint8Array[],
  stored: TileReader,
  hash: HashSync,
): { tree: Tree; tiles: Tile[] } {
  const { size } = tree.frontier
  if (tree.partial.length !== size % tileWidth) throw new RangeError(`a tree of ${size} has another partial tile`)
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

/** Cuts the hashes of a level, the first of which begins a tile, into tiles. */
function tilesFrom(level: number, firstIndex: number, hashes: readonly Uint8Array[]): Tile[] {
  const tiles: Tile[] = []
  for (let at = 0; at < hashes.length; at += tileWidth) {
    const index = firstIndex + at / tileWidth
    tiles.push({ level, index, hashes: concatBytes(...hashes.slice(at, at + tileWidth)) })
  }
  return tiles
}

/** The hashes of a tile about to grow. Were it of another width, what is written would be wrong for ever. */
function storedHashes(level: number, index: number, width: number, stored: TileReader): Uint8Array[] {
  if (width === 0) return []
  const tile = stored.tile(level, index)
  if (tile?.length !== width * hashBytes) {
    throw new RangeError(`${tilePath(level, index)} is ${tile?.length ?? 0} bytes and not ${width} hashes`)
  }
  return Array.from({ length: width }, (_, at) => tile.subarray(at * hashBytes, (at + 1) * hashBytes))
}

/** Reads stored tiles, and the partial tile of level 0 from memory: all that a proof about this tree needs. */
export function readerOf(tree: Tree, stored: TileReader): TileReader {
  const last = Math.floor(tree.frontier.size / tileWidth)
  return {
    tile: (level, index) => (level === 0 && index === last ? concatBytes(...tree.partial) : stored.tile(level, index)),
  }
}

/** The root at any size up to the tiles' own. **Errors**: RangeError naming the tile that is missing or short. */
export function rootAt(size: number, reader: TileReader, hash: HashSync): Uint8Array {
  return rootOf(frontierAt(size, reader, hash), hash)
}

/** The frontier at any size up to the tiles' own. **Errors** as `rootAt`. */
export function frontierAt(size: number, reader: TileReader, hash: HashSync): Frontier {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is not the size of a tree`)
  return frontierOfRange(0, size, reader, hash)
}

/**
 * MTH(D[begin:end]) in the words of RFC 6962. A range that its recursion names begins at a multiple of a power of
 * two not below its width, so its perfect subtrees are nodes of the whole tree. **Errors** as `rootAt`.
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
 * Hash of the node over the leaves index·2^height … (index+1)·2^height - 1, all of which must exist.
 * **Cost**: one tile read and at most 127 node hashes. **Errors**: RangeError naming the tile that lacks it.
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
 * Root over a power of two of neighbouring hashes, one after the other as in a tile; bytes of its own, not a view.
 * **Errors**: RangeError for any other number of hashes.
 */
export function subtreeRoot(hashes: Uint8Array, hash: HashSync): Uint8Array {
  const count = hashes.length / hashBytes
  if (!Number.isInteger(count) || count === 0 || (count & (count - 1)) !== 0) {
    throw new RangeError(`${hashes.length} bytes are not a power of two of hashes`)
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
 * Path of a tile as C2SP tlog-tiles serves it: `tile/0/x001/067`, and `tile/0/x001/067.p/5` for a partial tile of
 * width 5.
 */
export function tilePath(level: number, index: number, width = tileWidth): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  }
  return `tile/${level}/${groups.join('/')}${width < tileWidth ? `.p/${width}` : ''}`
}
