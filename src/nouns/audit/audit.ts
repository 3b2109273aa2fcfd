import type { z } from 'zod'
import type { AuditEvent } from '../../domain/audit/audit-event.ts'
import { listAuditSchema } from '../../domain/audit/audit-filters.ts'
import {
  type AuditAppendOptions,
  type AuditInput,
  appendOptionsSchema,
  appendSchema,
} from '../../domain/audit/commands.ts'
import { lockNameSchema } from '../../domain/lock/names.ts'
import { renderedEvent } from '../../domain/rendered-event.ts'
import { LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Entry } from '../../kernel/entry.ts'
import { eventIdOf } from '../../kernel/ids.ts'
import { after } from '../../kernel/maybe.ts'
import { type Core, submit } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import type { PolicyApi } from '../policy/policy.ts'
import { refuseExpired } from '../runs/runs.ts'
import { type AuditPage, listEntries } from './audit-list.ts'

export interface AuditAppended {
  events: { event_id: string; seq: number; time: string }[]
  replayed: boolean
}

export type AuditQuery = z.input<typeof listAuditSchema>

/** `ledger.audit`: appends audit events for programs, and shows every entry as an audit event. */
export class Audit {
  readonly #core: Core
  readonly #policy: PolicyApi

  constructor(core: Core, policy: PolicyApi) {
    this.#core = core
    this.#policy = policy
  }

  /**
   * Appends one or more events atomically. With a `guard`, they are appended only if the guard's grant is current at
   * that moment. With a `run_id`, they are appended only if the run is running. Errors: INVALID_INPUT, NOT_FOUND (the
   * run or the corrected event), STALE_TOKEN, LEASE_EXPIRED, SIZE_MISMATCH, IDEMPOTENCY_MISMATCH, LIMIT_EXCEEDED; for
   * a run also NOT_RUN_ACTOR, RUN_NOT_ACTIVE, RUN_LEASE_EXPIRED, DECISION_NOT_OPEN, OUTPUTS_DENIED, FREE_TEXT_DENIED.
   * Cost: one append.
   */
  async append(events: AuditInput | readonly AuditInput[], options: AuditAppendOptions = {}): Promise<AuditAppended> {
    const parsed = parse(appendSchema, Array.isArray(events) ? events : [events], 'audit event')
    const { actor, correlation_id, expected_size, guard, idempotency_key } = parse(
      appendOptionsSchema,
      options,
      'options',
    )
    const checkedGuard = guard && { name: parse(lockNameSchema, guard.name, 'guard.name'), token: guard.token }
    for (const { corrects } of parsed) if (corrects !== undefined) await this.#assertThere(corrects)
    const request =
      idempotency_key === undefined ? undefined : { key: idempotency_key, content: { events: parsed } as Json }
    const outcome = await after(this.#policy.known(), (policies) =>
      submit(
        this.#core,
        { type: 'audit.append', events: parsed, guard: checkedGuard, policies },
        { actor, correlationId: correlation_id, expectedSize: expected_size, request },
      ),
    )
    refuseExpired(outcome)
    const { entries, replayed } = outcome
    return { events: entries.map(({ event_id, seq, time }) => ({ event_id, seq, time })), replayed }
  }

  /**
   * A page of audit events in the form of Contract v1, oldest first. Errors: INVALID_INPUT. Cost: see `listEntries`.
   */
  async list(query: AuditQuery = {}): Promise<AuditPage<AuditEvent>> {
    const page = await listEntries(this.#core, parse(listAuditSchema, query, 'list'))
    return { ...page, events: page.events.map(({ event }) => event) }
  }

  /** The same page as `list`, as the hashed entries instead of audit events. */
  async entries(query: AuditQuery = {}): Promise<AuditPage<Entry>> {
    const page = await listEntries(this.#core, parse(listAuditSchema, query, 'list'))
    return { ...page, events: page.events.map(({ entry }) => entry) }
  }

  /** Renders an entry as an audit event. */
  rendered(entry: Entry): AuditEvent {
    return renderedEvent(entry)
  }

  /** The entry with an event_id. The id contains the seq, so no index is needed. */
  async entryOf(eventId: string): Promise<Entry | undefined> {
    const { log, views } = this.#core
    const seq = Number(/_(\d+)$/.exec(eventId)?.[1] ?? Number.NaN)
    return seq < log.head().size && eventIdOf(log.meta.ledger_id, seq) === eventId ? views.entry(seq) : undefined
  }

  /** Errors: NOT_FOUND. */
  async #assertThere(eventId: string): Promise<void> {
    if ((await this.entryOf(eventId)) !== undefined) return
    throw new LockstepError('NOT_FOUND', `there is no event ${eventId} to correct`, { details: { corrects: eventId } })
  }
}
