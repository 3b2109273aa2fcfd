import * as z from 'zod'
import { type Entry, entrySchema } from '../kernel/entry.ts'
import { aggregates } from './aggregates.ts'

type Merged<Union> = (Union extends unknown ? (item: Union) => void : never) extends (item: infer All) => void
  ? All
  : never

/** The schemas of the data of every event type. */
export const eventSchemas: Merged<(typeof aggregates)[number]['events']> = Object.assign(
  {},
  ...aggregates.map(({ events }) => events),
)

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
