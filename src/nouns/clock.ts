import type { z } from 'zod'
import { resetClockSchema } from '../domain/log/clock-reset.ts'
import { aheadSeconds } from '../kernel/entry-time.ts'
import { type Core, submit } from '../writer/core.ts'
import { parse } from '../writer/parse.ts'

/** The result of a clock reset. */
export interface ClockReset {
  seq: number
  /** The ledger time before the reset. */
  previous_time: string
  /** The ledger time from the reset on. */
  time: string
}

/** `ledger.clock`: compares the ledger time with the wall clock, and resets it. */
export class LedgerClock {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Whole seconds that the last entry's time is ahead of the wall clock, if more than one hour. This happens when a
   * command ran under a wrong clock; the ledger time stands still since then. Otherwise undefined. Cost: one read.
   */
  async aheadSeconds(): Promise<number | undefined> {
    const { log, now, views } = this.#core
    const last = await views.entry(log.head().size - 1)
    return last && aheadSeconds(last.time, now().wall_ms)
  }

  /**
   * Makes the ledger time follow the wall clock again. Only the release authority or an operator may do this. The
   * order of entries (by seq) and the leases (with their own clocks) do not change. Errors: CLOCK_RESET_DENIED,
   * CLOCK_NOT_AHEAD. Cost: one append.
   */
  async reset(request: z.input<typeof resetClockSchema>): Promise<ClockReset> {
    const { actor, reason } = parse(resetClockSchema, request, 'clock reset')
    const { entries } = await submit(this.#core, { type: 'clock.reset', reason }, { actor })
    const [entry] = entries
    return { seq: entry?.seq ?? 0, previous_time: String(entry?.data.previous_time), time: entry?.time ?? '' }
  }
}
