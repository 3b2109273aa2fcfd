import { sorted } from '../../kernel/canonical.ts'
import type { Context, Decision, LoadedRows } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import type { AuditCommand } from './commands.ts'
import { decideEventsOfRun, type EventOfRun, streamOf } from './events-of-run.ts'

/** Events outside runs share one stream. Events of a run go into the stream of the run. */
const auditStream = 'audit'

export function reads({ events }: AuditCommand): readonly string[] {
  const run_id = events[0]?.run_id
  return [run_id === undefined ? auditStream : streamOf(run_id)]
}

/** Refusals: those of the guard (STALE_TOKEN, LEASE_EXPIRED), then those of the run. */
export function decide(command: AuditCommand, context: Context, rows: LoadedRows): Decision {
  if (context.guard !== undefined) return context.guard
  const { events, policies = new Map(), type } = command
  const run_id = events[0]?.run_id
  if (run_id !== undefined)
    return decideEventsOfRun({ events: events.map(eventOfRun), policies, run_id, type }, context, rows)
  const drafts = events.map(
    (event): EventDraft => ({ type: 'audit.recorded', stream: auditStream, data: sorted(event) }),
  )
  return { kind: 'append', events: drafts }
}

function eventOfRun(event: AuditCommand['events'][number]): EventOfRun {
  const { action_type, corrects, decision_id = '', notes, outcome, run_id, severity, target, ...rest } = event
  if (action_type === 'system' || action_type === 'override') {
    const { run_id: _, ...data } = event
    return { kind: 'recorded', data, texts: [notes, event.outcome_reason] }
  }
  const on = target && { target: { name: target.name, mode: target.operation } }
  const of = { action_type, decision_id, outcome: outcome === 'success' ? ('success' as const) : ('failure' as const) }
  return { kind: 'acted', record: { ...rest, ...of, ...on } }
}
