import * as z from 'zod'
import { resetClockSchema } from '../domain/log/clock-reset.ts'
import { hints } from './hints.ts'
import type { CallOptions, Operations } from './operation.ts'
import { seq, time } from './shapes/basics.ts'

export interface ResetClock extends z.input<typeof resetClockSchema> {}

const resetClock = z.strictObject({ previous_time: time, seq, time })
/** The time of the ledger before the reset, and from the reset on. */
export interface ClockReset extends z.output<typeof resetClock> {}

/** The clock: the time of entries, which never goes back between two resets. */
export interface ClockApi {
  /**
   * Makes the time of entries follow the wall clock again, after a wall clock was ahead by mistake. The order of
   * entries and the leases do not change. Cost: one append.
   */
  reset(input: ResetClock, options?: CallOptions): Promise<ClockReset>
}

export const clock: Operations<ClockApi> = {
  reset: {
    kind: 'command',
    summary: 'Makes the time of entries follow the wall clock again.',
    input: resetClockSchema,
    output: resetClock,
    errors: ['CLOCK_RESET_DENIED', 'CLOCK_NOT_AHEAD'],
    grants: ['authority', 'operator'],
  },
}

hints.add(resetClock, {
  previous_time: { about: 'The time of the entry before the reset.' },
  time: { about: 'The time of the reset.' },
})
