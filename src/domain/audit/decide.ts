import { sorted } from '../../kernel/canonical.ts'
import type { Context, Decision, LoadedRows } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { PrivilegedAction } from '../../kernel/vocabulary.ts'
import { type Policies, policyStream } from '../policy/state.ts'
import { append, caseOf, expired, lostLock, notActive, type RunDraft } from '../run/case.ts'
import type { RecordAction } from '../run/commands.ts'
import { decideRecord } from '../run/decide-actions.ts'
import { refuseText, unfitIn } from '../run/free-text.ts'
import type { AuditCommand } from './commands.ts'

/** Events outside runs share one stream. Events of a run go into the stream of the run. */
export const auditStream = 'audit'

export function reads({ events }: AuditCommand): readonly string[] {
  const run_id = events[0]?.run_id
  return run_id === undefined ? [auditStream] : [streamOfRun(run_id), policyStream]
}

/** Refusals: those of the guard (STALE_TOKEN, LEASE_EXPIRED), then those of the run. */
export function decide(command: AuditCommand, context: Context, rows: LoadedRows): Decision {
  if (context.guard !== undefined) return context.guard
  const { events, policies = new Map(), type } = command
  const run_id = events[0]?.run_id
  if (run_id !== undefined) return decideInRun({ events, policies, run_id, type }, context, rows)
  const drafts = events.map(
    (event): EventDraft => ({ type: 'audit.recorded', stream: auditStream, data: sorted(event) }),
  )
  return { kind: 'append', events: drafts }
}

/**
 * Appends events of one run, all or none. Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded). If the lease of the
 * run has expired, the ledger then fails the run and ignores the events. Then RUN_NOT_ACTIVE (recorded), STALE_TOKEN
 * and LEASE_EXPIRED (the run's lock); for each event FREE_TEXT_DENIED, or the refusals of recording an action.
 */
function decideInRun(
  {
    events,
    policies,
    run_id,
    type,
  }: { events: readonly AuditInput[]; policies: Policies; run_id: string; type: string },
  context: Context,
  rows: LoadedRows,
): Decision {
  const of = caseOf({ policies, run_id, type }, context, rows)
  if ('kind' in of) return of
  const wrong = expired(of) ?? notActive(of, type) ?? lostLock(of, type)
  if (wrong !== undefined) return wrong
  const drafts: RunDraft[] = []
  let { run } = of
  for (const event of events) {
    const { action_type } = event
    if (action_type === 'system' || action_type === 'override') {
      const { run_id: _, ...data } = event
      const { target } = event
      const text = refuseText(
        of,
        [event.notes, event.outcome_reason, ...unfitIn([target?.name, target?.operation])],
        type,
      )
      if (text !== undefined) return text
      drafts.push({ type: 'audit.recorded', stream: streamOfRun(run_id), data: sorted(data) })
      continue
    }
    const record = recordOf({ ...event, action_type })
    const command = { ...record, policies, run_id, type: 'run.record' as const }
    const decision = decideRecord(command, { ...of, run })
    if (decision.kind !== 'append') return decision
    // Prohibited outputs deny the run, and no event of this append is recorded.
    if (decision.events.some(({ type }) => type === 'run.denied')) return decideRecord(command, of)
    drafts.push(...decision.events)
    // The next event is decided against the state after this event, so that each allow is used only once.
    const outputs = [...run.outputs, ...(record.output_artifacts ?? [])]
    run = { ...run, open: run.open.filter(({ decision_id }) => decision_id !== record.decision_id), outputs }
  }
  return append(of, drafts)
}

type AuditInput = AuditCommand['events'][number]
type ActionRecord = Omit<RecordAction, 'policies' | 'run_id' | 'type'>

/** The outcome of an allowed action, as the command of runs that records it. */
function recordOf(event: AuditInput & { action_type: PrivilegedAction }): ActionRecord {
  const { corrects, decision_id = '', notes, outcome, run_id, severity, target, ...rest } = event
  const on = target && { target: { name: target.name, mode: target.operation } }
  return { ...rest, decision_id, outcome: outcome === 'success' ? 'success' : 'failure', ...on }
}
