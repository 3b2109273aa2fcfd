import * as z from 'zod'
import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { isOperator } from '../../kernel/config.ts'
import { type Command, type Context, type Decision, refuse } from '../../kernel/decider.ts'
import { clockStream, isAhead } from '../../kernel/entry-time.ts'
import { freeText } from '../../kernel/free-text.ts'
import { actorSchema, reasonSchema } from '../../kernel/ids.ts'

const time = z.iso.datetime({ precision: 3 })

/**
 * From this entry on `time` follows the wall clock again, after a wall clock had been ahead. Only this entry may have
 * an earlier time than the entry before it, whose time is `previous_time`.
 */
const reset = z.strictObject({
  by: z.string(),
  previous_time: time,
  reason: freeText(reasonSchema),
})

const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
  repeats: z.int().min(1).optional(),
})

const events = { 'clock.reset': reset, 'clock.refused': refused } as const

type ClockEventType = keyof typeof events
type ClockEventData<Type extends ClockEventType> = z.infer<(typeof events)[Type]>
export type ClockEvent = {
  [Type in ClockEventType]: { type: Type; stream: string; data: ClockEventData<Type> }
}[ClockEventType]

/** The input of the command. */
export const resetClockSchema = z.strictObject({ actor: actorSchema.optional(), reason: reasonSchema })

/** Makes `time` follow the wall clock again. */
export interface ResetClock extends Command {
  type: 'clock.reset'
  reason: string
}

/** The clock of the ledger. Its state is the `seq` of the last reset. */
export const clockAggregate = defineAggregate({
  commands: ['clock'],
  streams: {
    [clockStream]: stream<{ seq: number | null }, unknown>({
      evolve: (state, { seq, type }) => (type === 'clock.reset' ? { seq } : (state ?? { seq: null })),
    }),
  },
  events,
  rendering: {
    'clock.reset': {
      action_type: 'override',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: 'clock', operation: 'clock.reset' },
      outcome_reason: ['reason'],
    },
    'clock.refused': {
      action_type: 'override',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'system', name: 'clock', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
  },
  reads: (_command: ResetClock) => [clockStream],
  decide,
})

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
