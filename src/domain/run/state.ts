import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { LeaseClock, LeaseFacts } from '../../kernel/clock.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import type { RunFact } from '../../kernel/run-fact.ts'
import { type RunStatus, unpinned } from '../../kernel/vocabulary.ts'
import type { Evidence } from '../lock/liveness.ts'
import { sharesKnowledge } from '../policy/effects.ts'
import type { Pins, RunEventData, RunEventType } from './events.ts'
import type { RunRecord } from './run-record.ts'
import { evolveTurns, type TurnChain } from './turns.ts'

/** An allow whose action event is not recorded yet. */
export type OpenAction = Pick<RunEventData<'run.acted'>, 'action_type' | 'decision_id' | 'target'>

/** An artifact that may be written to shared knowledge, and the allow that names it. */
export type Shareable = Pick<ArtifactRef, 'artifact_id' | 'hash_sha256'> & { decision_id: string }

/** The row of a run: its input at creation, and its current state. */
export interface RunState extends RunFact {
  /** How the actor of the run was known when it created the run itself. */
  authn?: string
  case_id: string | null
  correlation_id: string | null
  created_at: string
  ended: { at: string; duration_ms: number | null; error: RunRecord['error'] | null; outcome: string } | null
  lane_id: string | null
  lease: LeaseFacts | null
  lock: { name: string; token: number } | null
  manifest: RunEventData<'run.created'>
  open: readonly OpenAction[]
  outputs: readonly ArtifactRef[]
  parent_run_id: string | null
  pins: Pins | null
  /** The processes that do its work, if they were recorded at its start. */
  processes?: readonly Evidence[]
  root_run_id: string
  run_id: string
  /** What its successful writes to shared knowledge put out. */
  shared?: readonly ArtifactRef[]
  /** Artifacts that open allows for writes to shared knowledge name. Absent if no such allow is open. */
  shareable?: readonly Shareable[]
  started: { at: string; host_id: string; lease_clock: LeaseClock } | null
  status: RunStatus
  taxonomy_versions: RunRecord['taxonomy_versions'] | null
  /** Whether each promotion of a turn needs the decision_id of an allow. */
  turns_require_decision?: true
  /** Its turns, once it has any. */
  turns?: TurnChain
}

type RunEntry<Type extends RunEventType> = Entry<Type, RunEventData<Type>>

/** Returns the next state. It applies the event without checking it. */
export function evolve(state: RunState | undefined, entry: Entry): RunState {
  if (state === undefined) return createdState(entry as RunEntry<'run.created'>)
  switch (entry.type) {
    case 'run.decided':
      return withDecision(state, entry as RunEntry<'run.decided'>)
    case 'run.started':
      return startedState(state, entry as RunEntry<'run.started'>)
    case 'run.renewed': {
      const { expires_at, host_id, lease_clock } = entry.data as RunEventData<'run.renewed'>
      return state.lease === null ? state : { ...state, lease: { ...state.lease, expires_at, host_id, lease_clock } }
    }
    case 'run.acted':
      return actedState(state, entry.data as RunEventData<'run.acted'>)
    case 'run.completed':
    case 'run.failed':
    case 'run.denied':
    case 'run.cancelled':
      return endedState(state, entry as RunEntry<'run.failed'>)
    case 'turn.staged':
    case 'turn.staging_rejected':
    case 'turn.validated':
    case 'turn.rejected':
    case 'turn.promoted':
    case 'turn.promotion_rejected':
      return { ...state, turns: evolveTurns(state.turns, entry) }
    default:
      return state
  }
}

function createdState({
  actor,
  case_id,
  correlation_id,
  data,
  lane_id,
  parent_run_id,
  root_run_id,
  time,
}: RunEntry<'run.created'>): RunState {
  // The actor of a run that another actor created is a claim of that actor.
  const isOwn = actor.actor_id === data.actor.actor_id
  return {
    ...(isOwn && actor.authn !== undefined ? { authn: actor.authn } : {}),
    case_id: case_id ?? null,
    correlation_id: correlation_id ?? null,
    created_at: time,
    ended: null,
    lane_id: lane_id ?? null,
    lease: null,
    lock: null,
    manifest: data,
    open: [],
    outputs: [],
    parent_run_id: parent_run_id ?? null,
    pins: data.pins,
    root_run_id: root_run_id ?? data.run_id,
    run_id: data.run_id,
    started: null,
    status: 'created',
    taxonomy_versions: null,
  }
}

function withDecision(state: RunState, { data, event_id }: RunEntry<'run.decided'>): RunState {
  if (data.decision === 'deny' || data.on === 'start' || data.on === 'outputs') return state
  const action = { action_type: data.on, decision_id: event_id, target: data.target }
  const shareable = [...(state.shareable ?? []), ...shareableBy(action, data)]
  return { ...state, open: [...state.open, action], ...(shareable.length === 0 ? {} : { shareable }) }
}

/** Decisions of versions that did not name the configuration are not bound to artifacts, so their rows stay as they were. */
function shareableBy(action: OpenAction, data: RunEventData<'run.decided'>): Shareable[] {
  if (data.config_sha256 === undefined || !sharesKnowledge({ ...action, target: { name: action.target.name } }))
    return []
  const { decision_id } = action
  return (data.artifacts ?? []).map(({ artifact_id, hash_sha256 }) => ({ artifact_id, decision_id, hash_sha256 }))
}

/** The state of a run after the record of an allowed action. */
export function actedState(
  state: RunState,
  { decision_id, output_artifacts = [], shares }: RunEventData<'run.acted'>,
): RunState {
  const open = state.open.filter((action) => action.decision_id !== decision_id)
  const shared = shares && [...(state.shared ?? []), ...output_artifacts]
  const { shareable = [], ...rest } = state
  const left = shareable.filter((artifact) => artifact.decision_id !== decision_id)
  const outputs = [...state.outputs, ...output_artifacts]
  return { ...rest, open, outputs, ...given({ shared, shareable: left.length === 0 ? undefined : left }) }
}

function startedState(state: RunState, { data, time }: RunEntry<'run.started'>): RunState {
  const { host_id, lease, lease_clock, lock, pins, processes, taxonomy_versions = null, turns_require_decision } = data
  return {
    ...state,
    lease: lease && { ...lease, host_id, lease_clock },
    lock,
    pins,
    ...given({ processes, turns_require_decision }),
    started: { at: time, host_id, lease_clock },
    status: 'running',
    taxonomy_versions,
  }
}

/** The terminal state of a run, by the type of the event that ended it. */
export const statusAfter: Readonly<Record<string, RunStatus>> = {
  'run.completed': 'completed',
  'run.failed': 'failed',
  'run.denied': 'denied',
  'run.cancelled': 'cancelled',
}

function endedState(state: RunState, { data, time, type }: RunEntry<'run.failed'>): RunState {
  const { duration_ms, error = null, outcome_reason, output_artifacts = [] } = data
  return {
    ...state,
    ended: { at: time, duration_ms, error, outcome: outcome_reason },
    outputs: [...state.outputs, ...output_artifacts],
    status: statusAfter[type] ?? state.status,
  }
}

/** The pins of a run for entries and records. A missing pin is `UNPINNED`. */
export function versionsOf(pins: Pins | null): { lanes: string; roles: string } {
  return { lanes: pins?.lanes.pin ?? unpinned, roles: pins?.roles.pin ?? unpinned }
}
