import * as z from 'zod'
import { isOperator } from '../../kernel/config.ts'
import { type Aggregate, type Command, type Context, type Decision, refuse } from '../../kernel/decider.ts'
import { clockStream, isAhead } from '../../kernel/entry-time.ts'
import { actorSchema, reasonSchema } from '../../kernel/ids.ts'
import type { ClockEvent } from './clock-reset-events.ts'

/** The input of the command. */
export const resetClockSchema = z.strictObject({ actor: actorSchema.optional(), reason: reasonSchema })

/** Makes `time` follow the wall clock again. */
export interface ResetClock extends Command {
  type: 'clock.reset'
  reason: string
}

/** The state of the ledger's clock. It has only resets; `seq` is that of the last one. */
export const clockAggregate: Aggregate<ResetClock, { seq: number | null }> = {
  reads: () => [clockStream],
  decide,
  evolve: (state, { seq, type }) => (type === 'clock.reset' ? { seq } : (state ?? { seq: null })),
}

/**
 * Refusals, in order: CLOCK_RESET_DENIED (neither release authority nor operator), recorded; CLOCK_NOT_AHEAD (`time`
 * already follows the wall clock, as it does right after a reset).
 */
function decide({ reason, type }: ResetClock, { actor, config, now, time }: Context): Decision<ClockEvent> {
  if (!isOperator(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not reset the clock: only ${config.release_authority} or an operator may`
    const data = { code: 'CLOCK_RESET_DENIED', command: type, message }
    return refuse('CLOCK_RESET_DENIED', message, {}, { type: 'clock.refused', stream: clockStream, data })
  }
  if (!isAhead(time, now.wall_ms)) {
    return refuse('CLOCK_NOT_AHEAD', `the time of entries already follows the wall clock, which shows ${time}`, {
      time,
    })
  }
  const data = { by: actor.actor_id, previous_time: time, reason }
  return { kind: 'append', events: [{ type: 'clock.reset', stream: clockStream, data }] }
}
