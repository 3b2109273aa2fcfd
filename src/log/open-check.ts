import type { Entry } from '../core/entry.ts'
import { LockstepError } from '../errors.ts'
import type { HeadFile } from '../fs/head-file.ts'
import { hashBytes, sameBytes, toHex } from '../merkle/hash.ts'
import { tileWidth } from '../merkle/tiles.ts'
import { decode } from './codec.ts'
import { corrupt, corruptAt } from './corrupt.ts'
import * as keys from './keys.ts'
import { leafHashOf } from './leaf.ts'
import type { Log } from './log.ts'
import type { Store } from './store.ts'

/**
 * What every open checks before anything is believed: the newest entries, at least as many bytes of them as
 * LevelDB's logs held, are there, dense and hash to their tiles; the tiles give the head row's root; and at the
 * size of the head file they give its root. LevelDB itself opens a damaged log without a word.
 * Errors: LEDGER_CORRUPT naming the first bad seq. Cost: one read an entry looked at.
 */
export function checkOpened(
  log: Log,
  store: Store,
  { logBytes, headFile }: { logBytes: number; headFile: HeadFile | undefined },
): void {
  const { size, root } = log.head()
  let firstBad: number | undefined
  let bytes = 0
  for (let seq = size - 1; seq >= 0 && bytes < logBytes; seq -= 1) {
    const value = store.get(keys.entryKey(seq))
    bytes += value?.length ?? 0
    if (!isWhole(log, seq, value)) firstBad = seq
  }
  if (firstBad !== undefined) throw corruptAt(firstBad, `entry ${firstBad} is missing or not what was hashed`)

  const computed = rootFromTiles(log, size)
  if (!sameBytes(computed, root)) {
    throw corrupt(`the tiles give the root ${toHex(computed)} at size ${size}, the head row says ${toHex(root)}`)
  }
  if (headFile !== undefined) checkHeadFile(log, headFile)
}

/** The head file's tree head must be one that this log went through. */
export function checkHeadFile(log: Log, headFile: HeadFile): void {
  const { size } = log.head()
  if (headFile.origin !== log.meta.origin) {
    throw corrupt(`the head file is of ${headFile.origin}, the database of ${log.meta.origin}`)
  }
  if (headFile.size > size) {
    throw new LockstepError(
      'LEDGER_CORRUPT',
      `the ledger had ${headFile.size} entries and has ${size}: it was cut or rolled back`,
      {
        details: { seq: size, head_size: headFile.size, size },
        hint: 'An older copy of the database was put back, or its newest log was cut. Restore a copy that is at least as new as .lockstep/head.',
      },
    )
  }
  if (toHex(rootFromTiles(log, headFile.size)) !== headFile.root) {
    throw corrupt(`the ledger’s root at size ${headFile.size} is not the one that .lockstep/head keeps`, {
      size: headFile.size,
    })
  }
}

function rootFromTiles(log: Log, size: number): Uint8Array {
  try {
    return log.rootAt(size)
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw corrupt(`a tile needed for the root at size ${size} is missing`, {}, cause)
  }
}

function isWhole(log: Log, seq: number, value: Uint8Array | undefined): boolean {
  if (value === undefined) return false
  try {
    const entry = decode<Entry>(keys.entryKey(seq), value)
    const tile = log.tiles.tile(0, Math.floor(seq / tileWidth))
    const at = (seq % tileWidth) * hashBytes
    return entry.seq === seq && tile !== undefined && sameBytes(tile.subarray(at, at + hashBytes), leafHashOf(entry))
  } catch {
    return false
  }
}
