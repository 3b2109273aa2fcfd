import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { recordErrors } from './runs.ts'
import * as shapes from './shapes/audit.ts'

/** Audit: events that programs append, and every entry of the ledger as an audit event. */
export interface AuditApi {
  /**
   * Appends one event or many, all or none. With a `guard` they are appended only while that grant is current; with a
   * `run_id` only while that run is running. Cost: one append.
   */
  append(input: shapes.AppendEvents, options?: CallOptions): Promise<shapes.AppendedEvents>
  /** A page of audit events as Contract v1 defines them, oldest first. */
  list(input?: shapes.ListEvents, options?: CallOptions): Promise<shapes.EventPage>
  /** The same page as entries. */
  entries(input?: shapes.ListEvents, options?: CallOptions): Promise<shapes.EntryPage>
}

export const audit: Operations<AuditApi> = {
  append: {
    kind: 'command',
    summary: 'Appends audit events, all or none.',
    input: shapes.append,
    output: shapes.appended,
    errors: [...recordErrors, 'SIZE_MISMATCH', 'RUN_ANCESTOR_ENDED', 'OVERRIDE_DENIED', 'STATEMENT_DENIED'],
    grants: ['agent', 'operator'],
    mayOverride: ({ events }) =>
      Array.isArray(events) && events.some((event: unknown) => Object(event).action_type === 'override'),
  },
  list: {
    kind: 'query',
    summary: 'Lists audit events, oldest first.',
    input: shapes.list,
    output: shapes.events,
    errors: [],
    grants: anyGrant,
  },
  entries: {
    kind: 'query',
    summary: 'Lists entries, oldest first.',
    input: shapes.list,
    output: shapes.entries,
    errors: [],
    grants: anyGrant,
  },
}
