import { LockstepError } from '../../errors.ts'
import type { Frontier } from '../../merkle/frontier.ts'
import { frontierAt, growTree, readerOf, type Tile, type TileReader, type Tree, tileWidth } from '../../merkle/tiles.ts'
import { corrupt, missing } from '../corrupt.ts'
import { leafHashOfText } from '../leaf.ts'
import { sha256 } from '../sha256.ts'

/** The tree after an append, and the tiles to store with it. */
export interface Grown {
  tree: Tree
  tiles: Tile[]
}

/**
 * Two states of the log's tree: the durable one, for reads, and the one after all pending appends, on which the next
 * append builds. They are the same when no write is pending.
 */
export class LogTree {
  readonly #stored: TileReader
  #durable: Tree
  #tail: Tree
  /** Tiles of pending appends. Only the tail may read them. */
  #tilesToBe: readonly Tile[] = []

  /**
   * Builds the tree from the stored tiles and the newly hashed entries after the last full tile.
   * Errors: LEDGER_CORRUPT.
   */
  constructor(size: number, textAt: (seq: number) => string | undefined, stored: TileReader) {
    this.#stored = stored
    const partial = Array.from({ length: size % tileWidth }, (_, index) => {
      const seq = size - (size % tileWidth) + index
      const text = textAt(seq)
      if (text === undefined) throw missing(seq)
      return leafHashOfText(text)
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

  /** The frontier of the durable tree. */
  get frontier(): Frontier {
    return this.#durable.frontier
  }

  /** The durable tiles. The last tile of level 0 comes from memory. */
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

  /** Marks the oldest pending growth as durable. */
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
