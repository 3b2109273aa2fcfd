import { rootOf } from '../../../merkle/frontier.ts'
import { hashBytes, sameBytes } from '../../../merkle/hash.ts'
import { emptyTree, growTree, type TileReader, type Tree, tilePath, tileWidth } from '../../../merkle/tiles.ts'
import { corrupt, differs } from '../../corrupt.ts'
import { sha256 } from '../../sha256.ts'

/**
 * Builds the Merkle tree again from leaf hashes and compares every stored tile with it. Tiles of level 0 are compared
 * when they are full. Higher tiles are compared when they are full or at the end. The compared tiles are counted, so
 * that a stray tile is noticed. One tile per level is kept in memory.
 */
export class TreeVerification {
  readonly #stored: TileReader
  #tree: Tree = emptyTree
  #compared = 0
  /** The last tile of each level above 0, as built here. */
  readonly #growing = new Map<number, { index: number; hashes: Uint8Array }>()

  constructor(stored: TileReader) {
    this.#stored = stored
  }

  /** Adds the leaves of a full tile, or of the partial tile at the end. Errors: VERIFY_FAILED (`leaves`, `tiles`). */
  add(leafHashes: readonly Uint8Array[]): void {
    const { tree, tiles } = growTree(this.#tree, leafHashes, this.#grown, sha256)
    this.#tree = tree
    for (const { level, index, hashes } of tiles) {
      if (level > 0) this.#growing.set(level, { index, hashes })
      if (hashes.length === tileWidth * hashBytes) this.#compare(level, index, hashes)
    }
  }

  /** Compares the partial tiles, and returns the number of tiles that the store must have. */
  finish(): number {
    for (const [level, { index, hashes }] of this.#growing) {
      if (hashes.length < tileWidth * hashBytes) this.#compare(level, index, hashes)
    }
    return this.#compared
  }

  get tree(): Tree {
    return this.#tree
  }

  root(): Uint8Array {
    return rootOf(this.#tree.frontier, sha256)
  }

  #compare(level: number, index: number, hashes: Uint8Array): void {
    this.#compared += 1
    const stored = this.#stored.tile(level, index)
    if (stored === undefined) {
      throw differs('tiles', `${tilePath(level, index)} is missing`, { level, index })
    }
    if (sameBytes(stored, hashes)) return
    const at = firstDifference(stored, hashes)
    const seq = (index * tileWidth + at) * tileWidth ** level
    if (level === 0) throw differs('leaves', `entry ${seq} does not match the hash from when it was appended`, { seq })
    throw differs('tiles', `${tilePath(level, index)} does not match the entries from ${seq} on`, {
      level,
      index,
      seq,
    })
  }

  readonly #grown: TileReader = {
    tile: (level, index) => {
      const tile = this.#growing.get(level)
      if (tile?.index === index) return tile.hashes
      throw corrupt(`${tilePath(level, index)} was not built`)
    },
  }
}

/** The position of the first hash that differs. */
function firstDifference(left: Uint8Array, right: Uint8Array): number {
  const at = right.findIndex((byte, index) => byte !== left[index])
  return Math.floor((at === -1 ? right.length : at) / hashBytes)
}
