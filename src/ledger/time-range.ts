import type { Entry } from '../core/entry.ts'
import { clockStream, wallTimeOf } from '../core/entry-time.ts'
import type { Core } from './core.ts'

/** From when up to when entries are asked for, by the wall clock that they were recorded under. */
export interface Times {
  since?: string | undefined
  until?: string | undefined
}

/** Seqs from the first up to but not including the second. */
export type SeqRange = readonly [from: number, to: number]

/** Whether an entry was recorded at a time that is asked for. */
export function isWithin(entry: Entry, { since, until }: Times): boolean {
  if (since === undefined && until === undefined) return true
  const millis = Date.parse(wallTimeOf(entry))
  return !(since !== undefined && millis < Date.parse(since)) && !(until !== undefined && millis >= Date.parse(until))
}

/** Where entries of some times are, and the seq behind which none can come any more, or the end of the ledger. */
export interface TimeRanges {
  ranges: readonly SeqRange[]
  end: number
}

/**
 * Where to look for the entries of some times: each range in order, and in it what `isWithin` says. Between two resets of
 * the clock `time` never goes back, so that its bounds are found by halving. Behind a wall clock that was ahead, `time`
 * stands still and the wall clock does not: a range goes on over that stretch, until the wall clock has come to its end.
 * Cost: about 20 reads a bound, for each reset.
 */
export function rangesOf(core: Core, { since, until }: Times, size: number): TimeRanges {
  if (since === undefined && until === undefined) return { ranges: [[0, size]], end: size }
  const ranges: SeqRange[] = []
  let [start, behind] = [0, 0]
  for (const end of [...resetsOf(core, size), size]) {
    const first = since === undefined ? start : firstFrom(core, [start, end], Date.parse(since))
    behind = until === undefined ? end : endOf(core, [first, end], Date.parse(until))
    if (first < behind) ranges.push([first, behind])
    start = end
  }
  return { ranges, end: behind }
}

/** Where the clock was reset, oldest first. */
function resetsOf(core: Core, size: number): number[] {
  const resets: number[] = []
  let seq = core.rows.get(clockStream)?.last_seq ?? null
  while (seq !== null) {
    const entry = core.log.entry(seq)
    if (entry === undefined) break
    if (entry.type === 'clock.reset' && seq < size) resets.unshift(seq)
    seq = entry.prev.stream
  }
  return resets
}

/** Behind the last entry that may be of a time before `untilMillis`. */
function endOf(core: Core, [from, to]: SeqRange, untilMillis: number): number {
  let end = firstFrom(core, [from, to], untilMillis)
  while (end < to) {
    const stillFrom = end
    end = firstFrom(core, [stillFrom, to], timeAt(core, stillFrom) + 1)
    const last = core.log.entry(end - 1)
    if (last === undefined || Date.parse(wallTimeOf(last)) >= untilMillis) break
  }
  return end
}

/** The first seq of a range whose time is a time or later. */
function firstFrom(core: Core, [from, to]: SeqRange, millis: number): number {
  let [low, high] = [from, to]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (timeAt(core, middle) < millis) low = middle + 1
    else high = middle
  }
  return low
}

function timeAt(core: Core, seq: number): number {
  return Date.parse(core.log.entry(seq)?.time ?? '')
}
