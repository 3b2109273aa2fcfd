import type { Entry } from '../kernel/entry.ts'
import { inclusionProofs } from '../merkle/proofs.ts'
import { rootAt, type TileReader } from '../merkle/tiles.ts'
import type { Key, LogReader } from './log.ts'
import { sha256 } from './sha256.ts'

/** The root of the first `size` entries, computed from the tiles. */
export function rootOf(log: LogReader, size: number): Promise<Uint8Array> {
  return overTiles(log, (tiles) => rootAt(size, tiles, sha256))
}

/** Inclusion proofs in the tree of a size. Ascending seqs cost only a few hashes each. */
export function inclusionProofsOf(log: LogReader, size: number): (seq: number) => Promise<Uint8Array[]> {
  const over = overTilesOf(log)
  let tiles: TileReader = { tile: () => undefined }
  const proofOf = inclusionProofs(size, { tile: (level, index) => tiles.tile(level, index) }, sha256)
  return (seq) =>
    over((loaded) => {
      tiles = loaded
      return proofOf(seq)
    })
}

/** The entry at a seq; undefined at or past the end. */
export async function entryAt(log: LogReader, seq: number): Promise<Entry | undefined> {
  const [entry] = await log.load([{ view: 'entry', key: seq }])
  return entry as Entry | undefined
}

/** Computes something from the tiles of a log. Cost: see `overTilesOf`. */
export function overTiles<T>(log: LogReader, compute: (tiles: TileReader) => T): Promise<T> {
  return overTilesOf(log)(compute)
}

/**
 * Computations over the tiles of a log. Each is repeated until all tiles that it reads are loaded; the next one finds
 * these in memory. Cost: one load for each tile on the way, a few for any size.
 */
function overTilesOf(log: LogReader): <T>(compute: (tiles: TileReader) => T) => Promise<T> {
  const loaded = new Map<string, Uint8Array | undefined>()
  return async (compute) => {
    if (loaded.size >= tilesMax) loaded.clear()
    for (;;) {
      const missing: { level: number; index: number }[] = []
      const tile = (level: number, index: number) => {
        const name = `${level}/${index}`
        if (!loaded.has(name)) missing.push({ level, index })
        return loaded.get(name)
      }
      try {
        const result = compute({ tile })
        if (missing.length === 0) return result
      } catch (error) {
        // A tile that is not loaded looks as if it were missing.
        if (missing.length === 0) throw error
      }
      const values = await log.load(missing.map((key): Key => ({ view: 'tile', key })))
      missing.forEach(
        ({ index, level }, at) => void loaded.set(`${level}/${index}`, values[at] as Uint8Array | undefined),
      )
    }
  }
}

/** A tile has 8 KiB. */
const tilesMax = 1_024
