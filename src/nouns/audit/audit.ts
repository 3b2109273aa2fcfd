import type { z } from 'zod'
import type { AuditApi } from '../../api/audit.ts'
import type * as shapes from '../../api/shapes/audit.ts'
import { LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Entry } from '../../kernel/entry.ts'
import { after } from '../../kernel/maybe.ts'
import { type Core, submit } from '../../writer/core.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'
import { refuseEnded } from '../runs/run-outcomes.ts'
import type { Handlers } from '../served.ts'
import { listEntries } from './audit-list.ts'

/** Appends audit events for programs, and shows every entry as an audit event. */
export class Audit implements Handlers<AuditApi> {
  readonly #core: Core
  readonly #policy: PolicyOfLedger

  constructor(core: Core, policy: PolicyOfLedger) {
    this.#core = core
    this.#policy = policy
  }

  async append(input: z.output<typeof shapes.append>): Promise<shapes.AppendedEvents> {
    const { actor, correlation_id, events, expected_size, guard, idempotency_key } = input
    for (const { corrects } of events) if (corrects !== undefined) await this.#assertThere(corrects)
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content: { events } as Json }
    const outcome = await after(this.#policy.known(events[0]?.run_id), (policies) =>
      submit(
        this.#core,
        { type: 'audit.append', events, guard, policies },
        { actor, correlationId: correlation_id, expectedSize: expected_size, request },
      ),
    )
    refuseEnded(outcome)
    const { entries, replayed } = outcome
    return { events: entries.map(({ event_id, seq, time }) => ({ event_id, seq, time })), replayed }
  }

  async list(filters: z.output<typeof shapes.list>): Promise<shapes.EventPage> {
    const page = await listEntries(this.#core, filters)
    return { ...page, events: page.events.map(({ event }) => event) }
  }

  async entries(filters: z.output<typeof shapes.list>): Promise<shapes.EntryPage> {
    const page = await listEntries(this.#core, filters)
    return { ...page, events: page.events.map(({ entry }) => entry) }
  }

  /** Errors: NOT_FOUND. */
  async #assertThere(eventId: string): Promise<void> {
    if ((await entryOfEvent(this.#core, eventId)) !== undefined) return
    throw new LockstepError('NOT_FOUND', `there is no event ${eventId} to correct`, { details: { corrects: eventId } })
  }
}

/** The entry with an event_id. The id contains the seq, so no index is needed. */
async function entryOfEvent({ log, views }: Core, eventId: string): Promise<Entry | undefined> {
  const seq = Number(/_(\d+)$/.exec(eventId)?.[1] ?? Number.NaN)
  const entry = seq < log.head().size ? await views.entry(seq) : undefined
  return entry?.event_id === eventId ? entry : undefined
}
