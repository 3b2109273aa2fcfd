import { invariant } from '../../errors.ts'
import { isoTime } from '../../kernel/clock.ts'
import { isOperator } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedState, type Refusal, refuse } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import { stateOfLock } from '../lock/decide.ts'
import { orphanReason } from '../lock/state.ts'
import { authorizeStart } from '../policy/authorize.ts'
import { isPin } from '../policy/content.ts'
import { stoppedAbove } from './above.ts'
import { append, laneOf, type RunCase, type RunDraft, refused, refusedMove, rowOf } from './case.ts'
import type { StartRun } from './commands.ts'
import { decidedEvent, deniedEvent } from './decided.ts'
import type { Pins } from './events.ts'
import { type FoundPins, factsOf, unboundRole, withMore } from './facts.ts'
import { refuseText, unfitIn } from './free-text.ts'
import type { RunState } from './state.ts'
import { governanceOf } from './workflows.ts'

/**
 * Appends the decision on the start together with the move to running or to denied. Refusals, in order:
 * INVALID_STATE_TRANSITION (the run is not in the state created), FREE_TEXT_DENIED, RUN_ANCESTOR_ENDED,
 * INVALID_STATE_TRANSITION (the run above it has not started), LOCK_NOT_HELD; all are recorded.
 */
export function decideStart(command: StartRun, of: RunCase): Decision {
  const { context, rows, run } = of
  if (run.status !== 'created') return refusedMove(of, command.type, 'running')
  const text = refuseText(of, unfitIn([command.lock, ...Object.values(command.taxonomy_versions ?? {})]), command.type)
  if (text !== undefined) return text
  const stopped = stoppedAbove(of, command.type)
  if (stopped !== undefined) return stopped
  const parent = run.parent_run_id === null ? undefined : rowOf(rows, run.parent_run_id)?.state
  if (parent?.status === 'created') {
    return refusedMove(of, command.type, 'running', `the run above it, ${parent.run_id}, is ${parent.status}`)
  }
  const callerId = context.actor.actor_id
  const who = { actor_id: run.manifest.actor.actor_id, run_id: run.run_id }
  const lock = command.lock === undefined ? null : lockForRun(rows, command.lock, who, context)
  if (lock !== null && 'kind' in lock) {
    return refused(of, { code: lock.code, command: command.type, message: lock.message })
  }
  const inherited = run.pins ?? parent?.pins ?? null
  const pins = inherited ?? pinsOf(command, of)
  const facts = factsOf(run, context.actor.actor_type, { pins, inherited, contractVersion: command.contract_version })
  const verdict = withMore(
    withMore(
      authorizeStart({ policy: of.inForce.policy, run: facts }),
      broughtOthers(command, inherited, pins),
      inherited === null ? 'drift' : 'not_permitted',
    ),
    unboundRole(run, context.config, isOperator(context.config, callerId) ? undefined : callerId),
  )
  const target = { name: run.run_id, operation: 'run.start', target_type: 'run' as const }
  const decided = decidedEvent(run.run_id, { on: 'start', target }, verdict)
  if (verdict.decision === 'deny') return append(of, [decided, deniedEvent(run.run_id, null, verdict)], verdict.pins)
  const started = startedEvent(command, of, { lock, pins })
  const { workflow_id } = run.manifest
  const governance =
    'turns_require_decision' in started.data ? governanceOf(rows, { run_id: run.run_id, workflow_id }) : []
  return append(of, [decided, started, ...governance], verdict.pins)
}

/**
 * The current grant of a name as the lock of a run: the project lock granted to that run, or a lock that the run's
 * actor holds. Refusals: LOCK_NOT_HELD.
 */
function lockForRun(
  rows: LoadedState,
  name: string,
  { actor_id, run_id }: { actor_id: string; run_id: string },
  { now }: Context,
): NonNullable<RunState['lock']> | Refusal {
  const grant = stateOfLock(rows, { name })?.grant ?? null
  const isOwn = grant?.kind === 'project' ? grant.run_id === run_id : grant?.actor_id === actor_id
  if (grant !== null && isOwn && orphanReason(grant, undefined, now) === undefined) return { name, token: grant.token }
  return refuse('LOCK_NOT_HELD', `${name} is not held for ${run_id}`, { name, run_id, token: grant?.token ?? null })
}

/** The pins of a run that inherits none: those in force. A malformed pin from the caller counts as missing. */
function pinsOf({ policy_versions }: StartRun, { context, inForce }: RunCase): FoundPins {
  const of = (name: 'lanes' | 'roles') => {
    const loaded = inForce.loaded?.[name]
    if (loaded === undefined) return null
    const stated = policy_versions?.[name]
    if (stated !== undefined && !isPin(stated)) return null
    return context.config.pins === 'commit' && loaded.source !== 'git-commit' ? null : loaded
  }
  return { lanes: of('lanes'), roles: of('roles') }
}

/** The versions that a caller states and that differ from the inherited pins, or from those in force. */
function broughtOthers({ policy_versions = {} }: StartRun, inherited: Pins | null, found: FoundPins): string[] {
  const rule = inherited === null ? 'pin_mismatch:' : 'inherited/policy_versions/'
  return (['lanes', 'roles'] as const)
    .filter((name) => {
      const stated = policy_versions[name]
      const pin = (inherited ?? found)[name]?.pin
      return stated !== undefined && pin !== undefined && stated?.toLowerCase() !== pin
    })
    .map((name) => `${rule}${name}`)
}

function startedEvent(
  { lease_duration_s, processes, taxonomy_versions }: StartRun,
  of: RunCase,
  { lock, pins }: { lock: RunState['lock']; pins: FoundPins },
): RunDraft {
  const {
    context: { now },
    run,
  } = of
  const lease =
    lease_duration_s === undefined
      ? null
      : { expires_at: isoTime(now.wall_ms + lease_duration_s * 1000), lease_duration_s }
  const { host_id, lease_clock } = now
  const turns_require_decision = laneOf(of)?.turns?.require_decision || undefined
  const { lanes, roles } = pins
  invariant(lanes !== null && roles !== null, 'a run that starts is pinned')
  const data = { host_id, lease, lease_clock, lock, pins: { lanes, roles }, run_id: run.run_id }
  return { type: 'run.started', data: { ...data, ...given({ processes, taxonomy_versions, turns_require_decision }) } }
}
