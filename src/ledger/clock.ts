import type { z } from 'zod'
import { resetClockSchema } from '../core/clock-reset/aggregate.ts'
import { aheadSeconds } from '../core/entry-time.ts'
import { type Core, submit } from './core.ts'
import { parse } from './parse.ts'

/** What a reset did. */
export interface ClockReset {
  seq: number
  /** The time that entries had before it. */
  previous_time: string
  /** The time that they have from it on. */
  time: string
}

/** `ledger.clock`: how the time of entries stands to the wall clock. */
export class LedgerClock {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Whole seconds by which the last entry's time is ahead of the wall clock, where that is more than an hour: one
   * command ran under a wrong clock, and `time` stands still since. Undefined otherwise. Cost: one read.
   */
  get aheadSeconds(): number | undefined {
    const { log, now } = this.#core
    const last = log.entry(log.head().size - 1)
    return last && aheadSeconds(last.time, now().wall_ms)
  }

  /**
   * Lets the time of entries follow the wall clock again, for the release authority or an operator. Order is by seq, and
   * leases have clocks of their own: neither changes. Errors: CLOCK_RESET_DENIED, CLOCK_NOT_AHEAD. Cost: one append.
   */
  async reset(request: z.input<typeof resetClockSchema>): Promise<ClockReset> {
    const { actor, reason } = parse(resetClockSchema, request, 'clock reset')
    const { entries } = await submit(this.#core, { type: 'clock.reset', reason }, { actor })
    const [entry] = entries
    return { seq: entry?.seq ?? 0, previous_time: String(entry?.data.previous_time), time: entry?.time ?? '' }
  }
}
