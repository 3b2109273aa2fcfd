import { isoTime } from '../../kernel/clock.ts'
import { isAuthority } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedState, type Refusal, refuse } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'
import { isStateCondition } from '../lock/decide-project.ts'
import type { LockEvent } from '../lock/events.ts'
import { streamOf as streamOfLock } from '../lock/names.ts'
import { releasedEvent } from '../lock/record.ts'
import type { LockState } from '../lock/state.ts'
import { stoppedAbove } from './above.ts'
import { refuseUnrecorded } from './bundles.ts'
import {
  append,
  durationMillis,
  eventsOfRun,
  expiredEvents,
  isExpired,
  laneOf,
  lostLock,
  notActive,
  notOfRole,
  type RunCase,
  type RunDraft,
  refused,
  refusedMove,
  rowOf,
  unrecordedEvents,
} from './case.ts'
import type { CancelRun, CompleteRun, DenyRun, ExpireRun, FailRun, Heartbeat } from './commands.ts'
import { refuseText, textsIn, unfitIn } from './free-text.ts'
import { isTerminal, mayMove } from './moves.ts'
import { deniedOutputs, refusedOutputs } from './outputs.ts'
import { refuseUnpromoted, refuseUnshared } from './promotions.ts'
import type { RunState } from './state.ts'
import { discardedTurn, openTurnId } from './turns.ts'

/** Refusals, in order: RUN_NOT_ACTIVE and RUN_ANCESTOR_ENDED (recorded), INVALID_INPUT (the run has no lease). */
export function decideHeartbeat(command: Heartbeat, of: RunCase): Decision {
  const { context, run } = of
  const ended = notActive(of, command.type) ?? stoppedAbove(of, command.type)
  if (ended !== undefined) return ended
  if (run.lease === null) {
    return refuse('INVALID_INPUT', `${run.run_id} was started without a lease`, { run_id: run.run_id })
  }
  const { host_id, lease_clock, wall_ms } = context.now
  const expires_at = isoTime(wall_ms + (run.lease.lease_duration_s ?? 0) * 1000)
  return append(of, [{ type: 'run.renewed', data: { expires_at, host_id, lease_clock, run_id: run.run_id } }])
}

/**
 * Refusals, in order: NOT_RUN_ACTOR (the configuration keeps the role of the run from the caller; recorded),
 * INVALID_STATE_TRANSITION and RUN_ANCESTOR_ENDED (recorded), STALE_TOKEN and LEASE_EXPIRED (the run's lock),
 * RUN_HAS_OPEN_ACTION, RUN_HAS_OPEN_TURN and BUNDLE_NOT_RECORDED (recorded), LIMIT_EXCEEDED, FREE_TEXT_DENIED,
 * PROMOTION_NOT_RECORDED (recorded), INVALID_INPUT (no lock to release), RELEASE_DENIED, RELEASE_CONDITION_UNMET.
 * Prohibited outputs deny the run instead. With `release_lock` the lock is released in the same append.
 */
export function decideComplete(command: CompleteRun, of: RunCase): Decision {
  const { context, rows, run } = of
  const wrong =
    notOfRole(of, command.type) ??
    refuseEnd(command, of, 'completed', textsIn(command.output_artifacts)) ??
    stoppedAbove(of, command.type)
  if (wrong !== undefined) return wrong
  const lost = lostLock(of, command.type)
  if (lost !== undefined) return lost
  if (run.open.length > 0) {
    const decision_ids = run.open.map(({ decision_id }) => decision_id)
    const message = `${run.open.length} allowed actions of ${run.run_id} are not recorded yet`
    return refused(of, { code: 'RUN_HAS_OPEN_ACTION', command: command.type, facts: { decision_ids }, message })
  }
  const turn_id = openTurnId(run.turns)
  if (turn_id !== undefined && !command.discard_turn) {
    const message = `${turn_id} of ${run.run_id} is neither promoted nor rejected`
    return refused(of, { code: 'RUN_HAS_OPEN_TURN', command: command.type, facts: { turn_id }, message })
  }
  const unrecorded = refuseUnrecorded(of, command)
  if (unrecorded !== undefined) return unrecorded
  const { outcome_reason, output_artifacts, release_lock } = command
  const tooMany = refuseOutputs(of, output_artifacts?.length ?? 0)
  if (tooMany !== undefined) return tooMany
  const denied = deniedOutputs(of, output_artifacts, { command: command.type })
  if (denied !== undefined) return denied
  const unshared = refuseUnpromoted(of, command.type) ?? refuseUnshared(of, output_artifacts, { command: command.type })
  if (unshared !== undefined) return unshared
  const drafts: RunDraft[] = discardedTurn(run.turns, { run_id: run.run_id, stream: streamOfRun(run.run_id) })
  if (release_lock) {
    if (run.lock === null) {
      return refuse('INVALID_INPUT', `${run.run_id} holds no lock that could be released`, { run_id: run.run_id })
    }
    const released = releaseLock(rows, run.lock, context)
    if (released !== undefined && 'kind' in released) return released
    if (released !== undefined) drafts.push(released)
  }
  const data = { duration_ms: durationMillis(of) ?? 0, outcome_reason, run_id: run.run_id }
  drafts.push({ type: 'run.completed', data: output_artifacts === undefined ? data : { ...data, output_artifacts } })
  return append(of, drafts)
}

/**
 * Releases the current lock of a completed run. Only the release authority can release a project lock, by the condition
 * on the run's state. Refusals, in order: RELEASE_DENIED, RELEASE_CONDITION_UNMET.
 */
function releaseLock(
  rows: LoadedState,
  { name }: NonNullable<RunState['lock']>,
  { actor, config, now }: Context,
): LockEvent | Refusal | undefined {
  const grant = (rows.get(streamOfLock(name))?.state as LockState | undefined)?.grant
  if (!grant) return undefined
  if (grant.kind !== 'project') return releasedEvent(grant, now, { late: false, outcome: 'success' })
  const authority = config.release_authority
  if (!isAuthority(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not release the lock of ${grant.run_id}: only ${authority} may`
    return refuse('RELEASE_DENIED', message, { name, release_authority: authority })
  }
  const condition_met = grant.release_conditions?.find(isStateCondition)
  if (condition_met === undefined) {
    const message = `no release condition of ${grant.run_id} depends on its state; use a manual override`
    return refuse('RELEASE_CONDITION_UNMET', message, { name, release_conditions: grant.release_conditions })
  }
  return releasedEvent(grant, now, {
    condition_met,
    evidence: 'run_state',
    final_status: 'COMPLETE',
    late: false,
    outcome: 'success',
    released_by: `${authority} (VERIFICATION)`,
    ...given({ run_id: grant.run_id }),
  })
}

/**
 * Refusals, in order: INVALID_STATE_TRANSITION, FREE_TEXT_DENIED, BUNDLE_NOT_RECORDED and OUTPUTS_DENIED (recorded),
 * LIMIT_EXCEEDED, PROMOTION_NOT_RECORDED (recorded). Prohibited outputs deny the run instead.
 */
export function decideFail(command: FailRun, of: RunCase): Decision {
  const { error, outcome_reason, output_artifacts } = command
  const { run } = of
  const wrong = refuseEnd(command, of, 'failed', [
    error.message,
    ...unfitIn([error.error_code, error.stack_ref]),
    ...textsIn(output_artifacts),
  ])
  if (wrong !== undefined) return wrong
  const unrecorded = refuseUnrecorded(of, command)
  if (unrecorded !== undefined) return unrecorded
  if (output_artifacts?.length && !laneOf(of)?.allowed_actions.partial_outputs) {
    return refusedOutputs(of, command.type)
  }
  const tooMany = refuseOutputs(of, output_artifacts?.length ?? 0)
  if (tooMany !== undefined) return tooMany
  const denied = deniedOutputs(of, output_artifacts, { command: command.type })
  if (denied !== undefined) return denied
  const unshared = refuseUnshared(of, output_artifacts, { command: command.type })
  if (unshared !== undefined) return unshared
  const data = { duration_ms: durationMillis(of) ?? 0, error, outcome_reason, run_id: run.run_id }
  const failed = {
    type: 'run.failed' as const,
    data: output_artifacts === undefined ? data : { ...data, output_artifacts },
  }
  return append(of, [...unrecordedEvents(run), failed])
}

/** Refusals, in order: INVALID_STATE_TRANSITION and FREE_TEXT_DENIED; both are recorded. */
export function decideDeny(command: DenyRun, of: RunCase): Decision {
  const wrong = refuseEnd(command, of, 'denied')
  if (wrong !== undefined) return wrong
  const { outcome_reason, run_id } = command
  const data = { duration_ms: durationMillis(of), missing: [], outcome_reason, reason: null, rule_ids: [], run_id }
  return append(of, [...unrecordedEvents(of.run), { type: 'run.denied', data }])
}

/** The refusals are those of a deny. With `tree`, a run that has ended is left as it is. */
export function decideCancel(command: CancelRun, of: RunCase): Decision {
  if (command.tree && isTerminal(of.run.status)) return { kind: 'repeat', seq: of.lastSeq }
  const wrong = refuseEnd(command, of, 'cancelled')
  if (wrong !== undefined) return wrong
  const outcome_reason = `cancelled: ${command.outcome_reason}`
  const data = { duration_ms: durationMillis(of), outcome_reason, run_id: command.run_id }
  return append(of, [...unrecordedEvents(of.run), { type: 'run.cancelled', data }])
}

/**
 * Ends a run exactly as the next command on it would, if its lease has expired. Otherwise nothing is appended: the run
 * may have been renewed, or have ended, since its lease was seen to be over.
 */
export function decideExpire({ run_id }: ExpireRun, context: Context, rows: LoadedState): Decision {
  const row = rowOf(rows, run_id)
  if (row === undefined || !isExpired(row.state, context.now)) return { kind: 'append', events: [] }
  const of = { context, lastSeq: row.last_seq, run: row.state }
  return { kind: 'append', events: eventsOfRun(of, expiredEvents(of)) }
}

/** The refusal if a run cannot move to this end, or if its free text is not allowed. */
function refuseEnd(
  { outcome_reason, type }: { outcome_reason: string; type: string },
  of: RunCase,
  to: RunStatus,
  texts: readonly (string | null | undefined)[] = [],
): Refusal | undefined {
  if (!mayMove(of.run.status, to)) return refusedMove(of, type, to)
  return refuseText(of, [outcome_reason, ...texts], type)
}

function refuseOutputs({ run }: RunCase, more: number): Refusal | undefined {
  if (run.outputs.length + more <= limits.runOutputsMax) return undefined
  return refuse('LIMIT_EXCEEDED', `a run can output at most ${limits.runOutputsMax} artifacts`, { run_id: run.run_id })
}
