import type { Code } from '../../errors.ts'
import type { ArtifactRef } from '../artifact-ref.ts'
import { sorted } from '../canonical.ts'
import { elapsedMillis, leaseRemainingMillis, type Now } from '../clock.ts'
import { isOperator } from '../config.ts'
import { type Context, type Decision, type Refusal, type Row, type Rows, refuse } from '../decider.ts'
import type { EventDraft, RunOfEvent } from '../entry.ts'
import { limits } from '../limits.ts'
import type { Lane, PolicyInForce } from '../policies.ts'
import type { RunStatus } from '../vocabulary.ts'
import type { RunEventData, RunEventType } from './events.ts'
import { type RunState, streamOf, versionsOf } from './state.ts'

/** What a decision on one run has at hand. */
export interface RunCase {
  context: Context
  inForce: PolicyInForce
  lastSeq: number
  rows: Rows
  run: RunState
}

/** An event before it is the run's: an event of its own stream, or one of its lock's. */
export type RunDraft = { [Type in RunEventType]: { type: Type; data: RunEventData<Type> } }[RunEventType] | EventDraft

export function rowOf(rows: Rows, runId: string): Row<RunState> | undefined {
  return rows.get(streamOf(runId)) as Row<RunState> | undefined
}

/** What every entry of a run says of it; `versions` where it is pinned to others by these very events. */
function envelopeOf(run: RunState, versions = versionsOf(run.pins)): Omit<RunOfEvent, 'previous'> {
  const { case_id, correlation_id, lane_id, parent_run_id, root_run_id, run_id } = run
  return { case_id, correlation_id, lane_id, parent_run_id, policy_versions: versions, root_run_id, run_id }
}

/** Events of one run as one append, each the one after the other in its history. */
export function eventsOf(
  of: Omit<RunOfEvent, 'previous'>,
  lastSeq: number | null,
  drafts: readonly RunDraft[],
): EventDraft[] {
  return drafts.map((draft, index) => ({
    type: draft.type,
    stream: 'stream' in draft ? draft.stream : streamOf(of.run_id),
    data: sorted(draft.data),
    run: { ...of, previous: index === 0 ? lastSeq : 'event before' },
  }))
}

/** Events of the run of a case, as it is pinned. */
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
  message: string
  /** The move that was wanted. */
  to?: RunStatus
}

/** A refusal that is recorded on the run, which it leaves as it is. */
export function refused(
  { lastSeq, run }: Pick<RunCase, 'lastSeq' | 'run'>,
  { code, command, message, to }: Refused,
): Refusal {
  const { run_id, status } = run
  const move = to === undefined ? {} : { move: { from: status, to } }
  const data = { code, command, message, ...move, name: run_id }
  const [record] = eventsOf(envelopeOf(run), lastSeq, [{ type: 'run.refused', data }])
  return refuse(code, message, { run_id, status, ...(to === undefined ? {} : { wanted: to }) }, record)
}

/** INVALID_STATE_TRANSITION, recorded. */
export function refusedMove(of: RunCase, command: string, to: RunStatus, why = `it is ${of.run.status}`): Refusal {
  const message = `${of.run.run_id} may not become ${to}: ${why}`
  return refused(of, { code: 'INVALID_STATE_TRANSITION', command, message, to })
}

/** The runs above a run, the nearest first. */
export function* ancestorsOf(run: RunState, rows: Rows): Generator<RunState> {
  let next = run.parent_run_id
  for (let depth = 0; next !== null && depth < limits.runDepthMax; depth += 1) {
    const ancestor = rowOf(rows, next)?.state
    if (ancestor === undefined) return
    yield ancestor
    next = ancestor.parent_run_id
  }
}

/** Whether an actor may act on a run: its own, that of a run above it, an operator or the authority. */
function mayActOn(run: RunState, { actor, config }: Context, rows: Rows): boolean {
  if (run.manifest.actor.actor_id === actor.actor_id || isOperator(config, actor.actor_id)) return true
  for (const { manifest } of ancestorsOf(run, rows)) if (manifest.actor.actor_id === actor.actor_id) return true
  return false
}

/** Why an actor may not act on a run, if it may not. */
export function notRunActor(of: RunCase, command: string): Refusal | undefined {
  const { context, rows, run } = of
  if (mayActOn(run, context, rows)) return undefined
  const message = `${context.actor.actor_id} is neither the actor of ${run.run_id} nor of a run above it, nor an operator`
  return refused(of, { code: 'NOT_RUN_ACTOR', command, message })
}

/** Whether a running run's lease is over. */
export function isExpired({ lease, status }: RunState, now: Now): boolean {
  if (status !== 'running' || lease === null) return false
  return (leaseRemainingMillis(lease, now) ?? 1) <= 0
}

/** The end that the ledger itself gives a run whose lease is over; retryable. */
export function expiredEvents(of: Pick<RunCase, 'context' | 'run'>): RunDraft[] {
  const message = `the lease of ${of.run.run_id} ran out`
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

/** The action events that allows still owe when their run ends otherwise than by completing. */
export function unrecordedEvents({ open, run_id }: RunState): RunDraft[] {
  return open.map((action) => ({
    type: 'run.acted',
    data: { ...action, outcome: 'failure', outcome_reason: 'unrecorded', run_id },
  }))
}

/** How long a run has been running, by the lease clock; where clocks cannot be compared by the wall clock. */
export function durationMillis({
  context: { now },
  run: { started },
}: Pick<RunCase, 'context' | 'run'>): number | null {
  return started === null ? null : elapsedMillis({ ...started, time: started.at }, now)
}

/** The lane of a run in the policy in force. */
export function laneOf({ inForce, run }: Pick<RunCase, 'inForce' | 'run'>): Lane | undefined {
  return inForce.policy?.lanes.get(run.lane_id ?? '')
}

/** Where raw case text is prohibited, free text is too: a reason is one word of a closed alphabet there. */
export function freeTextIn(lane: Lane | undefined, texts: readonly (string | null | undefined)[]): string | undefined {
  if (!lane?.scope.prohibits.includes('raw_case_text')) return undefined
  return texts.find((text) => typeof text === 'string' && !/^[A-Za-z0-9_.:-]{1,80}$/.test(text)) ?? undefined
}

/** The free text that stands in references to artifacts. */
export function notesIn(refs: readonly ArtifactRef[] = []): (string | null | undefined)[] {
  return refs.map(({ confidentiality }) => confidentiality?.notes)
}

/** FREE_TEXT_DENIED, naming no text. */
export function refuseFreeText(laneId: string | null): Refusal {
  return refuse(
    'FREE_TEXT_DENIED',
    `the lane ${laneId} prohibits raw_case_text: a reason is one word, notes are none`,
    {
      lane_id: laneId,
    },
  )
}
