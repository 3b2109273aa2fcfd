import type { Entry } from '../../kernel/entry.ts'
import { clockStream, wallTimeOf } from '../../kernel/entry-time.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import type { Core } from '../../writer/core.ts'

/** A time filter, by the wall clock at recording. `since` is inclusive, `until` is exclusive. */
export interface Times {
  since?: string | undefined
  until?: string | undefined
}

/** A range of seqs; `to` is exclusive. */
export type SeqRange = readonly [from: number, to: number]

/** Whether an entry was recorded within the requested times. */
export function isWithin(entry: Entry, { since, until }: Times): boolean {
  if (since === undefined && until === undefined) return true
  const millis = Date.parse(wallTimeOf(entry))
  return !(since !== undefined && millis < Date.parse(since)) && !(until !== undefined && millis >= Date.parse(until))
}

/**
 * The ranges that contain all matching entries, and the seq from which on no entry can match any more. That is the
 * end of the ledger if later entries may still match.
 */
export interface TimeRanges {
  ranges: readonly SeqRange[]
  end: number
}

/**
 * The ranges in which to look for entries of some times; `isWithin` then decides for each entry. Between two clock
 * resets `time` never decreases, so its bounds are found by binary search. After the wall clock was ahead, `time`
 * stands still while the wall clock goes on. A range includes such a stretch until the wall clock passes its end.
 * Cost: about 20 reads per bound and reset.
 */
export async function rangesOf(core: Core, { since, until }: Times, size: number): Promise<TimeRanges> {
  if (since === undefined && until === undefined) return { ranges: [[0, size]], end: size }
  const ranges: SeqRange[] = []
  let [start, behind] = [0, 0]
  for (const end of [...(await resetsOf(core, size)), size]) {
    const first = since === undefined ? start : await firstFrom(core, [start, end], Date.parse(since))
    behind = until === undefined ? end : await endOf(core, [first, end], Date.parse(until))
    if (first < behind) ranges.push([first, behind])
    start = end
  }
  return { ranges, end: behind }
}

/** The seqs of clock resets, oldest first. */
async function resetsOf(core: Core, size: number): Promise<number[]> {
  const resets: number[] = []
  for await (const { seq, type } of walked(core.views, await chainOfStream(core.views, clockStream))) {
    if (type === 'clock.reset' && seq < size) resets.unshift(seq)
  }
  return resets
}

/** The seq after the last entry that may have been recorded before `untilMillis`. */
async function endOf(core: Core, [from, to]: SeqRange, untilMillis: number): Promise<number> {
  let end = await firstFrom(core, [from, to], untilMillis)
  while (end < to) {
    const stillFrom = end
    end = await firstFrom(core, [stillFrom, to], (await timeAt(core, stillFrom)) + 1)
    const last = await core.views.entry(end - 1)
    if (last === undefined || Date.parse(wallTimeOf(last)) >= untilMillis) break
  }
  return end
}

/** The first seq of a range whose `time` is at or after `millis`. */
async function firstFrom(core: Core, [from, to]: SeqRange, millis: number): Promise<number> {
  let [low, high] = [from, to]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((await timeAt(core, middle)) < millis) low = middle + 1
    else high = middle
  }
  return low
}

async function timeAt(core: Core, seq: number): Promise<number> {
  return Date.parse((await core.views.entry(seq))?.time ?? '')
}
