import type { Code, Details } from '../../errors.ts'
import { sorted } from '../../kernel/canonical.ts'
import { elapsedMillis, leaseRemainingMillis, type Now } from '../../kernel/clock.ts'
import { isOperator, mayClaim } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedState, type Refusal, type Row, refuse } from '../../kernel/decider.ts'
import type { EventDraft, RunOfEvent } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'
import { judgeGuard, stateOfLock } from '../lock/decide.ts'
import type { Lane, Policy } from '../policy/policy.ts'
import { type Policies, type PolicyInForce, policyInForce, policyPinnedBy } from '../policy/state.ts'
import type { RunEventData, RunEventType } from './events.ts'
import { type RunState, versionsOf } from './state.ts'

/** Everything that a decision on one run can use. */
export interface RunCase {
  context: Context
  inForce: PolicyInForce
  lastSeq: number
  /** The policy that judges the run: the one that its pins name, or the one in force if it has no pins yet. */
  policy: Policy | undefined
  rows: LoadedState
  run: RunState
}

/** An event before the facts of the run are added: from the run's own stream, or from the stream of its lock. */
export type RunDraft = { [Type in RunEventType]: { type: Type; data: RunEventData<Type> } }[RunEventType] | EventDraft

/** The case of an existing run. Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded; the run does not change). */
export function caseOf(
  { policies, run_id, type }: { policies: Policies; run_id: string; type: string },
  context: Context,
  rows: LoadedState,
): RunCase | Refusal {
  const of = caseAt(run_id, { context, inForce: policyInForce(rows, policies), policies, rows })
  if (of === undefined) return refuse('NOT_FOUND', `there is no run ${run_id}`, { run_id })
  return notRunActor(of, type) ?? of
}

/** What decisions on any run can use. */
export interface Ground {
  context: Context
  inForce: PolicyInForce
  policies: Policies
  rows: LoadedState
}

/** The case of a run; undefined if there is no such run. */
export function caseAt(runId: string, { context, inForce, policies, rows }: Ground): RunCase | undefined {
  const row = rowOf(rows, runId)
  if (row === undefined) return undefined
  const { last_seq: lastSeq, state: run } = row
  const policy = run.pins === null ? inForce.policy : policyPinnedBy(run.pins, policies)
  return { context, inForce, lastSeq, policy, rows, run }
}

export function rowOf(rows: LoadedState, runId: string): Row<RunState> | undefined {
  return rows.get(streamOfRun(runId)) as Row<RunState> | undefined
}

/** The members that every entry of a run has. `versions` is given if these events pin the run to other versions. */
function envelopeOf(run: RunState, versions = versionsOf(run.pins)): Omit<RunOfEvent, 'previous'> {
  const { case_id, correlation_id, lane_id, parent_run_id, root_run_id, run_id } = run
  const { role_id } = run.manifest.actor
  return { case_id, correlation_id, lane_id, parent_run_id, policy_versions: versions, role_id, root_run_id, run_id }
}

/** Events of one run as one append. Each follows the one before it in the history of the run. */
export function eventsOf(
  of: Omit<RunOfEvent, 'previous'>,
  lastSeq: number | null,
  drafts: readonly RunDraft[],
): EventDraft[] {
  return drafts.map((draft, index) => ({
    type: draft.type,
    stream: 'stream' in draft ? draft.stream : streamOfRun(of.run_id),
    data: sorted(draft.data),
    run: { ...of, previous: index === 0 ? lastSeq : 'event before' },
  }))
}

/** Events of the run of a case, with its current pins. */
export function eventsOfRun(
  { lastSeq, run }: Pick<RunCase, 'lastSeq' | 'run'>,
  drafts: readonly RunDraft[],
): EventDraft[] {
  return eventsOf(envelopeOf(run), lastSeq, drafts)
}

export function append(
  { lastSeq, run }: RunCase,
  drafts: readonly RunDraft[],
  versions?: RunOfEvent['policy_versions'],
): Extract<Decision, { kind: 'append' }> {
  return { kind: 'append', events: eventsOf(envelopeOf(run, versions), lastSeq, drafts) }
}

interface Refused {
  code: Code
  command: string
  /** Further facts for the caller. */
  facts?: Details
  message: string
  /** The move that was requested. */
  to?: RunStatus
}

/** A refusal that is recorded on the run and does not change it. */
export function refused(
  { lastSeq, run }: Pick<RunCase, 'lastSeq' | 'run'>,
  { code, command, facts = {}, message, to }: Refused,
): Refusal {
  const { run_id, status } = run
  const move = to === undefined ? {} : { move: { from: status, to } }
  const data = { code, command, message, ...move, name: run_id }
  const [record] = eventsOf(envelopeOf(run), lastSeq, [{ type: 'run.refused', data }])
  return refuse(code, message, { run_id, status, ...facts, ...given({ wanted: to }) }, record)
}

/** INVALID_STATE_TRANSITION, recorded. */
export function refusedMove(of: RunCase, command: string, to: RunStatus, why = `it is ${of.run.status}`): Refusal {
  const message = `${of.run.run_id} may not become ${to}: ${why}`
  return refused(of, { code: 'INVALID_STATE_TRANSITION', command, message, to })
}

/** The runs above a run, nearest first. */
export function* ancestorsOf(run: RunState, rows: LoadedState): Generator<RunState> {
  let next = run.parent_run_id
  for (let depth = 0; next !== null && depth < limits.runDepthMax; depth += 1) {
    const ancestor = rowOf(rows, next)?.state
    if (ancestor === undefined) return
    yield ancestor
    next = ancestor.parent_run_id
  }
}

/**
 * Whether an actor may act on a run: the actor of the run or of a run above it, an operator, or the release authority.
 */
function mayActOn(run: RunState, { actor, config }: Context, rows: LoadedState): boolean {
  if (run.manifest.actor.actor_id === actor.actor_id || isOperator(config, actor.actor_id)) return true
  for (const { manifest } of ancestorsOf(run, rows)) if (manifest.actor.actor_id === actor.actor_id) return true
  return false
}

/** The refusal if an actor may not act on a run. */
export function notRunActor(of: RunCase, command: string): Refusal | undefined {
  const { context, rows, run } = of
  if (mayActOn(run, context, rows)) return undefined
  const message = `${context.actor.actor_id} is neither the actor of ${run.run_id} nor of a run above it, nor an operator`
  return refused(of, { code: 'NOT_RUN_ACTOR', command, message })
}

/**
 * NOT_RUN_ACTOR, recorded, if the configuration keeps the role of the run from the caller. Work in a run needs its role;
 * stopping it does not. Operators and the release authority need no role.
 */
export function notOfRole(of: RunCase, command: string): Refusal | undefined {
  const { actor, config } = of.context
  const { role_id } = of.run.manifest.actor
  if (role_id === undefined || isOperator(config, actor.actor_id) || mayClaim(config, actor.actor_id, role_id)) {
    return undefined
  }
  const message = `the configuration does not give ${actor.actor_id} the role of ${of.run.run_id}`
  return refused(of, { code: 'NOT_RUN_ACTOR', command, message })
}

/** Whether the lease of a running run has expired. */
export function isExpired({ lease, status }: RunState, now: Now): boolean {
  if (status !== 'running' || lease === null) return false
  return (leaseRemainingMillis(lease, now) ?? 1) <= 0
}

/** Ends a run whose lease has expired, in place of the requested command; undefined if the lease has not expired. */
export function expired(of: RunCase): Decision | undefined {
  return isExpired(of.run, of.context.now) ? append(of, expiredEvents(of)) : undefined
}

/** RUN_NOT_ACTIVE, recorded, unless the run is running. */
export function notActive(of: RunCase, command: string): Refusal | undefined {
  if (of.run.status === 'running') return undefined
  const message = `${of.run.run_id} is ${of.run.status}, not running`
  return refused(of, { code: 'RUN_NOT_ACTIVE', command, message })
}

/** The problem with the lock that the run was started with. Refusals: STALE_TOKEN, LEASE_EXPIRED, as for a guard. */
export function lostLock({ context, rows, run: { lock } }: RunCase, command: string): Refusal | undefined {
  if (lock === null) return undefined
  return judgeGuard(lock, stateOfLock(rows, lock), command, context.now)
}

/** The end that the ledger gives a run with an expired lease. The run can be retried. */
export function expiredEvents(of: Pick<RunCase, 'context' | 'run'>): RunDraft[] {
  const message = `the lease of ${of.run.run_id} has expired`
  return [
    ...unrecordedEvents(of.run),
    {
      type: 'run.failed',
      data: {
        by: 'ledger',
        duration_ms: durationMillis(of) ?? 0,
        error: { error_code: 'RUN_LEASE_EXPIRED', message, retryable: true },
        outcome_reason: 'RUN_LEASE_EXPIRED',
        run_id: of.run.run_id,
      },
    },
  ]
}

/** The missing action events of allowed actions, if a run ends in another way than by completing. */
export function unrecordedEvents({ open, run_id }: RunState): RunDraft[] {
  return open.map((action) => ({
    type: 'run.acted',
    data: { ...action, outcome: 'failure', outcome_reason: 'unrecorded', run_id },
  }))
}

/** How long a run has been running: by the lease clock, or by the wall clock if the lease clocks cannot be compared. */
export function durationMillis({
  context: { now },
  run: { started },
}: Pick<RunCase, 'context' | 'run'>): number | null {
  return started === null ? null : elapsedMillis({ ...started, time: started.at }, now)
}

/** The lane of a run in the policy that judges the run. */
export function laneOf({ policy, run }: Pick<RunCase, 'policy' | 'run'>): Lane | undefined {
  return policy?.lanes.get(run.lane_id ?? '')
}
