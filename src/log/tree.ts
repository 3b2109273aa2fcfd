import type { Entry } from '../core/entry.ts'
import { LockstepError } from '../errors.ts'
import { frontierAt, growTree, readerOf, type Tile, type TileReader, type Tree, tileWidth } from '../merkle/tiles.ts'
import { corrupt, missing } from './corrupt.ts'
import { leafHashOf } from './leaf.ts'
import { sha256 } from './sha256.ts'

/** A tree as an append leaves it, and the tiles that are stored with it. */
export interface Grown {
  tree: Tree
  tiles: Tile[]
}

/**
 * The log's tree twice: as it is durable, for whoever reads, and as the appends on their way will leave it, for the
 * next one to build on. They are one and the same when nothing is being written.
 */
export class LogTree {
  readonly #stored: TileReader
  #durable: Tree
  #tail: Tree
  /** Tiles that are on their way, which only the tail may read. */
  #tilesToBe: readonly Tile[] = []

  /** From the entries after the last full tile, hashed anew, and the stored tiles. Errors: LEDGER_CORRUPT. */
  constructor(size: number, entryAt: (seq: number) => Entry | undefined, stored: TileReader) {
    this.#stored = stored
    const partial = Array.from({ length: size % tileWidth }, (_, index) => {
      const seq = size - (size % tileWidth) + index
      const entry = entryAt(seq)
      if (entry === undefined) throw missing(seq)
      return leafHashOf(entry)
    })
    try {
      const frontier = frontierAt(size, readerOf({ frontier: { size, hashes: [] }, partial }, stored), sha256)
      this.#durable = { frontier, partial }
      this.#tail = this.#durable
    } catch (cause) {
      if (cause instanceof LockstepError) throw cause
      throw corrupt(`a tile needed to append at size ${size} is missing`, { check: 'tiles' }, cause)
    }
  }

  /** The durable tiles, the last one of level 0 from memory. */
  get tiles(): TileReader {
    return readerOf(this.#durable, this.#stored)
  }

  /** Appends leaves to the tail. */
  grow(leaves: readonly Uint8Array[]): Grown {
    const grown = growTree(this.#tail, leaves, this.#tailTiles, sha256)
    this.#tail = grown.tree
    this.#tilesToBe = [...this.#tilesToBe, ...grown.tiles]
    return grown
  }

  /** What was grown first has become durable. */
  keep({ tree, tiles }: Grown): void {
    this.#durable = tree
    this.#tilesToBe = this.#tilesToBe.slice(tiles.length)
  }

  readonly #tailTiles: TileReader = {
    tile: (level, index) =>
      this.#tilesToBe.findLast((tile) => tile.level === level && tile.index === index)?.hashes ??
      this.#stored.tile(level, index),
  }
}
