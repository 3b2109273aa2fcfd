import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { systemCodeOf } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import { failureOf } from '../failure.ts'
import type { IsKept, Range } from '../keyed/store.ts'
import { type TableBytes, valuesIn } from './table.ts'

const sliceMillis = 4
/** Up to this many ranges are compacted one by one, and more of them as one range for each kind of key. */
const rangesApart = 32

/** What LevelDB compacts, so that all of some sorted ranges are written again. */
export function compactedRanges(ranges: readonly Range[]): readonly Range[] {
  if (ranges.length <= rangesApart) return ranges
  const wide: Range[] = []
  for (const { gte, lt } of ranges) {
    const last = wide.at(-1)
    if (last !== undefined && last.gte[0] === gte[0]) last.lt = lt
    else wide.push({ gte, lt })
  }
  return wide
}

/**
 * Whether a table in a folder has a value in one of some sorted ranges that `isKept` refuses. All tables are read,
 * because a reader can keep a table that LevelDB has replaced. Cost: the index of each table, and the blocks in the
 * ranges; other work runs in between. Errors: LEDGER_CORRUPT, LEDGER_UNAVAILABLE.
 */
export async function hasOthers(folder: string, ranges: readonly Range[], isKept: IsKept): Promise<boolean> {
  const isInRange = (from: Uint8Array, to: Uint8Array) => {
    const range = ranges[firstEndingBehind(ranges, from)]
    return range !== undefined && Buffer.compare(range.gte, to) <= 0
  }
  let sliceEnds = performance.now() + sliceMillis
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.ldb'))) {
    try {
      for (const [key, value] of valuesOf(join(folder, name), isInRange)) {
        if (!isKept(key, value)) return true
        if (performance.now() < sliceEnds) continue
        await new Promise((resolve) => setTimeout(resolve, limits.purgeRestMillis))
        sliceEnds = performance.now() + sliceMillis
      }
    } catch (error) {
      // LevelDB has removed it meanwhile.
      if (systemCodeOf(error) !== 'ENOENT') throw failureOf(`reading ${name}`, error)
    }
  }
  return false
}

/** The index of the first range that ends behind a key. */
function firstEndingBehind(ranges: readonly Range[], key: Uint8Array): number {
  let [from, to] = [0, ranges.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (Buffer.compare((ranges[middle] as Range).lt, key) <= 0) from = middle + 1
    else to = middle
  }
  return from
}

function* valuesOf(path: string, isInRange: Parameters<typeof valuesIn>[1]): ReturnType<typeof valuesIn> {
  const descriptor = openSync(path, 'r')
  try {
    const table: TableBytes = {
      at: (from, to) => {
        const bytes = Buffer.allocUnsafe(to - from)
        return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, from))
      },
      length: fstatSync(descriptor).size,
    }
    yield* valuesIn(table, isInRange)
  } finally {
    closeSync(descriptor)
  }
}
