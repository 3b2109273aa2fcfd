import type { z } from 'zod'
import type { ClockApi, ClockReset } from '../api/clock.ts'
import type { resetClockSchema } from '../domain/log/clock-reset.ts'
import { aheadSeconds } from '../kernel/entry-time.ts'
import { type Core, submit } from '../writer/core.ts'
import type { Handlers } from './served.ts'

/** The clock of the ledger. */
export class LedgerClock implements Handlers<ClockApi> {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  async reset({ actor, reason }: z.output<typeof resetClockSchema>): Promise<ClockReset> {
    const { entries } = await submit(this.#core, { type: 'clock.reset', reason }, { actor })
    const [entry] = entries
    return { seq: entry?.seq ?? 0, previous_time: String(entry?.data.previous_time), time: entry?.time ?? '' }
  }
}

/** Whole seconds that the last entry's time is ahead of the wall clock, if more than one hour. Cost: one read. */
export async function clockAheadSeconds({ log, views, now }: Core): Promise<number | undefined> {
  const last = await views.entry(log.head().size - 1)
  return last && aheadSeconds(last.time, now().wall_ms)
}
