import type { Entry } from './entry.ts'

// `time` never goes back. So if a wall clock was ahead, `time` stands still, and `wall_time` records the wall clock.
// `clock.reset` makes `time` follow the wall clock again.

/** The stream of clock resets. */
export const clockStream = 'clock'

/** The difference between `time` and the wall clock from which entries also have `wall_time`. */
const differMillisMax = 1_000
/** The difference from which callers that write get a warning. */
const warnAheadMillis = 3_600_000

/** The wall clock when an entry was recorded. */
export function wallTimeOf({ time, wall_time }: Pick<Entry, 'time' | 'wall_time'>): string {
  return wall_time ?? time
}

/** Whether a time differs so much from the wall clock that the entry has both. */
export function isApart(timeMillis: number, wallMillis: number): boolean {
  return Math.abs(timeMillis - wallMillis) > differMillisMax
}

/** Whether `time` stands still because it is ahead of the wall clock. */
export function isAhead(time: string, wallMillis: number): boolean {
  return Date.parse(time) - wallMillis > differMillisMax
}

/** Whole seconds by which `time` is ahead, if callers that write must be warned; otherwise undefined. */
export function aheadSeconds(time: string, wallMillis: number): number | undefined {
  const aheadMillis = Date.parse(time) - wallMillis
  return aheadMillis > warnAheadMillis ? Math.floor(aheadMillis / 1000) : undefined
}
