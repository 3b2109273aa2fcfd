import * as z from 'zod'
import * as shapes from '../api/shapes/audit.ts'
import type { AuditEvent } from '../domain/audit/audit-event.ts'
import { given } from '../kernel/given.ts'
import { limits } from '../kernel/limits.ts'
import { appends, reads, type Tool, textsOf, tool, untrustedTexts } from './tool.ts'

const { guard, idempotency_key } = shapes.append.shape
const event = shapes.append.shape.events.element.shape

const appendTool = tool({
  name: 'audit_append',
  about: 'Records what the policy does not decide: notes, and rules that were set aside. All or none.',
  annotations: appends,
  input: z.strictObject({
    events: z
      .array(
        // The ledger checks every member; these are the ones that a model needs to know.
        z.looseObject({
          action_type: event.action_type.extract(['system', 'override']).describe('override: a rule was set aside.'),
          outcome: event.outcome.extract(['failure', 'success']),
          outcome_reason: event.outcome_reason.describe('Required for override.'),
          notes: event.notes,
          run_id: event.run_id,
        }),
      )
      .min(1)
      .max(limits.toolItemsMax),
    guard: guard.describe('Append only while this grant is current.'),
    idempotency_key: idempotency_key,
  }),
  output: shapes.appended.pick({ events: true }),
  run: async ({ api }, input) => ({ events: (await api.audit.append(input)).events }),
})

const { actor_id, cursor, lock, outcome, run_id, since, until } = shapes.list.shape

const shown = z.strictObject({
  event_id: z.string(),
  seq: z.int(),
  time: z.string(),
  action_type: z.string(),
  outcome: z.string(),
  run_id: z.string().optional(),
  stated: z.boolean(),
  untrusted: untrustedTexts,
})

const queryTool = tool({
  name: 'audit_query',
  about: 'Reads the audit trail, oldest first: who did what, and what was denied. Read on from next.',
  annotations: reads,
  input: z.strictObject({
    run_id,
    lock,
    actor_id,
    outcome,
    since,
    until,
    cursor: cursor.describe('next of the page before.'),
    limit: z.int().min(1).max(limits.toolItemsMax).default(20),
  }),
  output: z.strictObject({ events: z.array(shown), next: z.int(), complete: z.boolean() }),
  run: async ({ api }, input) => {
    const { complete, events, next } = await api.audit.list(given(input))
    return { events: events.map(viewOf), next, complete }
  },
})

/** An audit event as models see it. */
function viewOf(event: AuditEvent): z.output<typeof shown> {
  const { actor, error, lane_id, notes, outcome_reason, run_id, target } = event
  return {
    event_id: event.event_id,
    seq: event.sequence,
    time: event.timestamp_utc,
    action_type: event.action_type,
    outcome: event.outcome,
    stated: event.stated ?? false,
    ...given({ run_id: run_id ?? undefined }),
    untrusted: textsOf({
      actor: actor.actor_id,
      error: error?.message,
      lane_id,
      notes,
      outcome_reason,
      target: target?.name,
    }),
  }
}

/** The tools for the audit trail. */
export const auditTools: readonly Tool[] = [appendTool, queryTool]
