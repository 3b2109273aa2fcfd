import { type AuditAppendOptions, type AuditInput, appendOptionsSchema, appendSchema } from '../core/audit/commands.ts'
import type { Json } from '../core/canonical.ts'
import { lockNameSchema } from '../core/lock/names.ts'
import { type Core, submit } from './core.ts'
import { parse } from './parse.ts'

export interface AuditAppended {
  events: { event_id: string; seq: number; time: string }[]
  replayed: boolean
}

/** Audit events appended by programs: things that happened outside any run. */
export class Audit {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Appends one event or many, whole or not at all. With a `guard` they are appended only if its lock's grant is
   * current in the same decision. Errors: INVALID_INPUT, STALE_TOKEN, LEASE_EXPIRED, SIZE_MISMATCH,
   * IDEMPOTENCY_MISMATCH, LIMIT_EXCEEDED. Cost: one append.
   */
  async append(events: AuditInput | readonly AuditInput[], options: AuditAppendOptions = {}): Promise<AuditAppended> {
    const parsed = parse(appendSchema, Array.isArray(events) ? events : [events], 'audit event')
    const { actor, correlation_id, expected_size, guard, idempotency_key } = parse(
      appendOptionsSchema,
      options,
      'options',
    )
    const checkedGuard = guard && { name: parse(lockNameSchema, guard.name, 'guard.name'), token: guard.token }
    const request =
      idempotency_key === undefined ? undefined : { key: idempotency_key, content: { events: parsed } as Json }
    const { entries, replayed } = await submit(
      this.#core,
      { type: 'audit.append', events: parsed, guard: checkedGuard },
      { actor, correlationId: correlation_id, expectedSize: expected_size, request },
    )
    return { events: entries.map(({ event_id, seq, time }) => ({ event_id, seq, time })), replayed }
  }
}
