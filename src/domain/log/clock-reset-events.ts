import * as z from 'zod'
import { reasonSchema } from '../../kernel/ids.ts'

const time = z.iso.datetime({ precision: 3 })

/**
 * From this entry on `time` follows the wall clock again, after a wall clock had been ahead. Only this entry may have
 * an earlier time than the entry before it, whose time is `previous_time`.
 */
const reset = z.strictObject({
  by: z.string(),
  previous_time: time,
  reason: reasonSchema,
})

const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: z.string(),
  repeats: z.int().min(1).optional(),
})

/** Every event of the ledger's clock, by type. */
export const clockEventSchemas = { 'clock.reset': reset, 'clock.refused': refused } as const

type ClockEventType = keyof typeof clockEventSchemas
type ClockEventData<Type extends ClockEventType> = z.infer<(typeof clockEventSchemas)[Type]>
export type ClockEvent = {
  [Type in ClockEventType]: { type: Type; stream: string; data: ClockEventData<Type> }
}[ClockEventType]
