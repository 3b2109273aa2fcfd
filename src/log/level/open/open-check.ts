import { LockstepError } from '../../../errors.ts'
import { hashBytes, sameBytes, toHex } from '../../../merkle/hash.ts'
import { rootAt, type TileReader, tileWidth } from '../../../merkle/tiles.ts'
import { compareHeadFile } from '../../compare-head-file.ts'
import { corrupt, corruptAt } from '../../corrupt.ts'
import type { KeyedLog } from '../../keyed/log.ts'
import { originsIn } from '../../keyed/origins.ts'
import { decodeStored, entryOfText } from '../../keyed/rows/codec.ts'
import type { StoredHead } from '../../keyed/rows/head-row.ts'
import * as keys from '../../keyed/rows/keys.ts'
import type { Store } from '../../keyed/store.ts'
import { leafHashOfText } from '../../leaf.ts'
import type { TreeHeadFile } from '../../log.ts'
import { sha256 } from '../../sha256.ts'

/**
 * The checks that every open makes before it trusts the database, because LevelDB opens a damaged log without an error.
 * - The newest entries, at least as many bytes as LevelDB's logs held, are present without gaps and match the leaf
 *   hashes in their tiles.
 * - The tiles give the root in the head row.
 * - The tiles give the root of the head file at its size, and that of the last head row seen in the logs.
 * Errors: LEDGER_CORRUPT with the first bad seq.
 * Cost: one read per entry checked.
 */
export function checkOpened(
  log: KeyedLog,
  store: Store,
  {
    logBytes,
    headFile,
    logHead,
  }: { logBytes: number; headFile: TreeHeadFile | undefined; logHead?: Pick<StoredHead, 'root' | 'size'> | undefined },
): void {
  const { size, root } = log.head()
  const leaves = new LeafReader(log.tiles)
  let firstBad: number | undefined
  let bytes = 0
  for (let seq = size - 1; seq >= 0 && bytes < logBytes; seq -= 1) {
    const value = store.get(keys.entryKey(seq))
    bytes += value?.length ?? 0
    if (!isWhole(leaves, seq, value)) firstBad = seq
  }
  if (firstBad !== undefined) throw corruptAt(firstBad, `entry ${firstBad} is missing or does not match its hash`)

  const computed = rootFromTiles(log, size)
  if (!sameBytes(computed, root)) {
    throw corrupt(`the tiles give the root ${toHex(computed)} at size ${size}, but the head row says ${toHex(root)}`)
  }
  const { origin } = log.meta
  const seen = logHead === undefined ? [] : [{ origin, root: toHex(logHead.root), size: logHead.size }]
  const origins = originsIn(store, log.meta)
  for (const expected of headFile === undefined ? seen : [headFile, ...seen]) {
    compareHeadFile(expected, { origins, size }, (at) => rootFromTiles(log, at))
  }
}

function rootFromTiles(log: KeyedLog, size: number): Uint8Array {
  try {
    return rootAt(size, log.tiles, sha256)
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw corrupt(`a tile needed for the root at size ${size} is missing`, {}, cause)
  }
}

function isWhole(leaves: LeafReader, seq: number, value: Uint8Array | undefined): boolean {
  if (value === undefined) return false
  try {
    const key = keys.entryKey(seq)
    const { text } = decodeStored(key, value)
    return entryOfText(key, text).seq === seq && sameBytes(leaves.leaf(seq), leafHashOfText(text))
  } catch {
    return false
  }
}

/** Reads leaf hashes from the tiles. Adjacent leaves share a tile, which is read once. */
class LeafReader {
  readonly #tiles: TileReader
  #index = -1
  #tile: Uint8Array | undefined

  constructor(tiles: TileReader) {
    this.#tiles = tiles
  }

  /** Returns empty bytes if the tile is missing or too short. */
  leaf(seq: number): Uint8Array {
    const index = Math.floor(seq / tileWidth)
    if (index !== this.#index) {
      this.#tile = this.#tiles.tile(0, index)
      this.#index = index
    }
    const at = (seq % tileWidth) * hashBytes
    return this.#tile?.subarray(at, at + hashBytes) ?? new Uint8Array(0)
  }
}
