import { sorted } from '../../kernel/canonical.ts'
import { type Context, type Decision, type LoadedState, refuse } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { PrivilegedAction } from '../../kernel/vocabulary.ts'
import { type Policies, policyStream } from '../policy/state.ts'
import { stoppedAbove } from '../run/above.ts'
import { append, caseOf, expired, laneOf, lostLock, notActive, type RunDraft, refused } from '../run/case.ts'
import type { RecordAction } from '../run/commands.ts'
import { decideRecord } from '../run/decide-actions.ts'
import { refuseNames, refuseText, textsIn, unfitIn } from '../run/free-text.ts'
import { deniedInputs, deniedOutputs } from '../run/outputs.ts'
import { refuseUnshared } from '../run/promotions.ts'
import { actedState } from '../run/state.ts'
import type { AuditCommand } from './commands.ts'
import { auditStream } from './events.ts'
import { refusedStatement, strangeToRun } from './statements.ts'

export function reads({ events }: AuditCommand): readonly string[] {
  const run_id = events[0]?.run_id
  return run_id === undefined ? [auditStream] : [streamOfRun(run_id), policyStream]
}

/**
 * Refusals: FREE_TEXT_DENIED (a name that the entries of a run repeat), those of the guard (STALE_TOKEN, LEASE_EXPIRED), then those of the run; outside runs OVERRIDE_DENIED and
 * STATEMENT_DENIED (recorded).
 */
export function decide(command: AuditCommand, context: Context, rows: LoadedState): Decision {
  const { events, guard, policies = new Map(), type } = command
  const run_id = events[0]?.run_id
  const names = [guard?.name, ...events.map(({ role_id }) => role_id)]
  const text = run_id && refuseNames({ policies, run_id, type }, { context, names, rows })
  if (text) return text
  if (context.guard !== undefined) return context.guard
  if (run_id !== undefined) return decideInRun({ events, policies, run_id, type }, context, rows)
  for (const event of events) {
    const wrong = refusedStatement(event, context)
    if (wrong === undefined) continue
    const data = { ...wrong, command: type }
    return refuse(wrong.code, wrong.message, {}, { type: 'audit.refused', stream: auditStream, data: sorted(data) })
  }
  const drafts = events.map(
    (event): EventDraft => ({ type: 'audit.recorded', stream: auditStream, data: sorted({ ...event, stated: true }) }),
  )
  return { kind: 'append', events: drafts }
}

/**
 * Appends events of one run, all or none. Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded). If the lease of the
 * run has expired, the ledger then fails the run and ignores the events. Then RUN_NOT_ACTIVE (recorded), STALE_TOKEN
 * and LEASE_EXPIRED (the run's lock), RUN_ANCESTOR_ENDED (recorded; for an override); for each event OVERRIDE_DENIED and
 * STATEMENT_DENIED (recorded), FREE_TEXT_DENIED and PROMOTION_NOT_RECORDED (recorded), or the refusals of recording an
 * action. Prohibited artifacts deny the run instead, and none of the events is recorded.
 */
function decideInRun(
  {
    events,
    policies,
    run_id,
    type,
  }: { events: readonly AuditInput[]; policies: Policies; run_id: string; type: string },
  context: Context,
  rows: LoadedState,
): Decision {
  const of = caseOf({ policies, run_id, type }, context, rows)
  if ('kind' in of) return of
  const isOverride = events.some(({ action_type }) => action_type === 'override')
  const stopped = isOverride ? stoppedAbove(of, type) : undefined
  const wrong = expired(of) ?? notActive(of, type) ?? lostLock(of, type) ?? stopped
  if (wrong !== undefined) return wrong
  const drafts: RunDraft[] = []
  let { run } = of
  const mayCross = laneOf(of)?.scope.allows?.includes('cross_case_lookup') ?? false
  for (const event of events) {
    const { action_type } = event
    const strange = strangeToRun(event, run, mayCross)
    if (strange !== undefined) return refused(of, { ...strange, command: type })
    if (action_type === 'system' || action_type === 'override') {
      const wrong = refusedStatement(event, context)
      if (wrong !== undefined) return refused(of, { ...wrong, command: type })
      const { case_id: _, lane_id: __, run_id: ___, ...data } = event
      const artifacts = textsIn([...(event.input_artifacts ?? []), ...(event.output_artifacts ?? [])])
      const names = unfitIn([event.target?.name, event.target?.operation])
      const text = refuseText(of, [event.notes, event.outcome_reason, ...names, ...artifacts], type)
      if (text !== undefined) return text
      const denied =
        deniedInputs(of, event.input_artifacts, type) ?? deniedOutputs(of, event.output_artifacts, { command: type })
      if (denied !== undefined) return denied
      const unshared = refuseUnshared({ ...of, run }, event.output_artifacts, { command: type })
      if (unshared !== undefined) return unshared
      drafts.push({ type: 'audit.recorded', stream: streamOfRun(run_id), data: sorted({ ...data, stated: true }) })
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
    for (const { data } of decision.events) run = actedState(run, data as never)
  }
  return append(of, drafts)
}

type AuditInput = AuditCommand['events'][number]
type ActionRecord = Omit<RecordAction, 'policies' | 'run_id' | 'type'>

/** The outcome of an allowed action, as the command of runs that records it. */
function recordOf(event: AuditInput & { action_type: PrivilegedAction }): ActionRecord {
  const { case_id, corrects, decision_id = '', duration_ms, input_artifacts, lane_id, notes, outcome, ...more } = event
  const { role_id, run_id, severity, target, ...rest } = more
  const on = target && { target: { name: target.name, mode: target.operation } }
  return { ...rest, decision_id, outcome: outcome === 'success' ? 'success' : 'failure', ...on }
}
