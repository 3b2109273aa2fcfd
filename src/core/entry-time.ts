import type { Entry } from './entry.ts'

// `time` never goes back, so that it stands still after a wall clock that was ahead; `wall_time` says then what the wall
// clock said. `clock.reset` lets `time` follow the wall clock again.

/** The stream of resets. */
export const clockStream = 'clock'

/** `time` and the wall clock may differ by this much without `wall_time`. */
const differMillisMax = 1_000
/** From here on whoever writes is told. */
const warnAheadMillis = 3_600_000

/** What the wall clock said when an entry was recorded. */
export function wallTimeOf({ time, wall_time }: Pick<Entry, 'time' | 'wall_time'>): string {
  return wall_time ?? time
}

/** Whether a time differs so much from the wall clock that an entry says both. */
export function isApart(timeMillis: number, wallMillis: number): boolean {
  return Math.abs(timeMillis - wallMillis) > differMillisMax
}

/** Whether `time` stands still because it is ahead of the wall clock. */
export function isAhead(time: string, wallMillis: number): boolean {
  return Date.parse(time) - wallMillis > differMillisMax
}

/** Whole seconds by which `time` is ahead, where that is so much that whoever writes is told; otherwise undefined. */
export function aheadSeconds(time: string, wallMillis: number): number | undefined {
  const aheadMillis = Date.parse(time) - wallMillis
  return aheadMillis > warnAheadMillis ? Math.floor(aheadMillis / 1000) : undefined
}
