import { sorted } from '../../kernel/canonical.ts'
import { type Context, type Decision, type LoadedRows, refuse } from '../../kernel/decider.ts'
import { type Policies, policyInForce } from '../policy/state.ts'
import {
  append,
  expiredEvents,
  freeTextIn,
  isExpired,
  laneOf,
  notRunActor,
  type RunCase,
  type RunDraft,
  refused,
  refuseFreeText,
  rowOf,
} from '../run/case.ts'
import type { RecordAction } from '../run/commands.ts'
import { decideRecord } from '../run/decide-actions.ts'
import { judgeLockOfRun } from '../run/lock-of-run.ts'
import { streamOf } from '../run/state.ts'

export { streamOf } from '../run/state.ts'

// The parts of runs that audit events use. Aggregates do not import each other, so this module connects them.

/** An event of a run from a program: a fact, or the outcome of an allowed action. */
export type EventOfRun =
  | { kind: 'recorded'; data: object; texts: readonly (string | undefined)[] }
  | { kind: 'acted'; record: Omit<RecordAction, 'policies' | 'run_id' | 'type'> }

/**
 * Appends events of one run, all or none. Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded). If the lease of the
 * run has expired, the ledger then fails the run and ignores the events. Then RUN_NOT_ACTIVE (recorded), STALE_TOKEN
 * and LEASE_EXPIRED (the run's lock); for each event FREE_TEXT_DENIED, or the refusals of recording an action.
 */
export function decideEventsOfRun(
  {
    events,
    policies,
    run_id,
    type,
  }: { events: readonly EventOfRun[]; policies: Policies; run_id: string; type: string },
  context: Context,
  rows: LoadedRows,
): Decision {
  const row = rowOf(rows, run_id)
  if (row === undefined) return refuse('NOT_FOUND', `there is no run ${run_id}`, { run_id })
  const of: RunCase = { context, inForce: policyInForce(rows, policies), lastSeq: row.last_seq, rows, run: row.state }
  const denied = notRunActor(of, type)
  if (denied !== undefined) return denied
  if (isExpired(of.run, context.now)) return append(of, expiredEvents(of))
  if (of.run.status !== 'running') {
    const message = `${run_id} is ${of.run.status}, not running`
    return refused(of, { code: 'RUN_NOT_ACTIVE', command: type, message })
  }
  const lost = of.run.lock === null ? undefined : judgeLockOfRun(rows, of.run.lock, type, context)
  if (lost !== undefined) return lost
  const drafts: RunDraft[] = []
  let { run } = of
  for (const event of events) {
    if (event.kind === 'recorded') {
      if (freeTextIn(laneOf(of), event.texts) !== undefined) return refuseFreeText(run.lane_id)
      drafts.push({ type: 'audit.recorded', stream: streamOf(run_id), data: sorted(event.data as never) })
      continue
    }
    const { record } = event
    const decision = decideRecord({ ...record, policies, run_id, type: 'run.record' }, { ...of, run })
    if (decision.kind !== 'append') return decision
    drafts.push(...decision.events)
    // The next event is decided against the state after this event, so that each allow is used only once.
    const outputs = [...run.outputs, ...(record.output_artifacts ?? [])]
    run = { ...run, open: run.open.filter(({ decision_id }) => decision_id !== record.decision_id), outputs }
  }
  return append(of, drafts)
}
