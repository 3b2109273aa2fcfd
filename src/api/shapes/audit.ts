import * as z from 'zod'
import { auditEventSchema } from '../../domain/audit/audit-event.ts'
import { listAuditSchema } from '../../domain/audit/audit-filters.ts'
import { appendOptionsSchema, appendSchema } from '../../domain/audit/commands.ts'
import { hints } from '../hints.ts'
import { entry, seq, time } from './basics.ts'

export const append = appendOptionsSchema.extend({ events: appendSchema })
export interface AppendEvents extends z.input<typeof append> {}

export const list = listAuditSchema
export interface ListEvents extends z.input<typeof list> {}

export const appended = z.strictObject({
  events: z.array(z.strictObject({ event_id: z.string(), seq, time })),
  replayed: z.boolean(),
})
export interface AppendedEvents extends z.output<typeof appended> {}

export const events = z.strictObject({ complete: z.boolean(), events: z.array(auditEventSchema), next: seq })
/** A page, oldest first. Entries never change, so `next` continues the list without gaps and repeats. */
export interface EventPage extends z.output<typeof events> {}

export const entries = z.strictObject({ complete: z.boolean(), events: z.array(entry), next: seq })
/** The same page as the entries that are hashed. */
export interface EntryPage extends z.output<typeof entries> {}

hints.add(append, {
  events: { about: 'The events: all of one run, or none of any run.' },
})
hints.add(list, {
  action_type: { about: 'Only events of this action type.' },
  actor_id: { about: 'Only events of this actor.' },
  case_id: { about: 'Only events of this case.' },
  cursor: { about: 'The first seq to look at: 0, or `next` of the page before.' },
  lock: { about: 'Only events of this lock.' },
  outcome: { about: 'Only events with this outcome.' },
  run_id: { about: 'Only events of this run.' },
  stream: { about: 'Only events of this stream.' },
  type: { about: 'Only entries of this type.' },
})
const next = { about: 'The seq at which the next page begins.' }
hints.add(events, { next })
hints.add(entries, { events: { about: 'The entries.' }, next })
