import * as z from 'zod'
import { type Entry, entrySchema } from '../kernel/entry.ts'
import { auditEventSchemas } from './audit/events.ts'
import { lockEventSchemas } from './lock/events.ts'
import { clockEventSchemas } from './log/clock-reset-events.ts'
import { originEventSchemas } from './log/origin-events.ts'
import { policyEventSchemas } from './policy/events.ts'
import { runEventSchemas } from './run/events.ts'
import { stagingEventSchemas } from './staging/events.ts'
import { turnEventSchemas } from './turn/events.ts'

/** The schemas of the data of every event type. */
export const eventSchemas = {
  ...originEventSchemas,
  ...clockEventSchemas,
  ...lockEventSchemas,
  ...auditEventSchemas,
  ...policyEventSchemas,
  ...runEventSchemas,
  ...stagingEventSchemas,
  ...turnEventSchemas,
} as const

export type EventType = keyof typeof eventSchemas

type EntryOf<Type extends EventType> = Omit<Entry, 'data' | 'type'> & {
  type: Type
  data: z.infer<(typeof eventSchemas)[Type]>
}

/** An entry of a known type with the data of that type. */
export type RecordedEntry = { [Type in EventType]: EntryOf<Type> }[EventType]

const [first, ...others] = Object.entries(eventSchemas).map(([type, data]) =>
  entrySchema.extend({ data, type: z.literal(type) }),
)

/** An entry whose data matches its type. An unknown type is refused. Published as `entry` in Contract v1. */
export const recordedEntrySchema = z.discriminatedUnion('type', [
  first as NonNullable<typeof first>,
  ...others,
]) as z.ZodType as z.ZodType<RecordedEntry>
