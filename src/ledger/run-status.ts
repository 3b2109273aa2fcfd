import type { z } from 'zod'
import { leaseRemainingMillis } from '../core/clock.ts'
import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { judgeGuard } from '../core/lock/decide.ts'
import { streamOf as lockStreamOf } from '../core/lock/names.ts'
import type { LockState } from '../core/lock/state.ts'
import { isExpired } from '../core/run/case.ts'
import type { listRunsSchema } from '../core/run/commands.ts'
import type { RunEventData } from '../core/run/events.ts'
import { isTerminal, moves } from '../core/run/moves.ts'
import { recordOf } from '../core/run/record.ts'
import type { RunRecord } from '../core/run/run-record.ts'
import { type RunState, streamOf } from '../core/run/state.ts'
import { openTurnId, type Phase, phaseOf } from '../core/turns-of-run.ts'
import type { RunStatus } from '../core/vocabulary.ts'
import { LockstepError } from '../errors.ts'
import type { Core } from './core.ts'

/** A page of runs. `lease_expired` names those whose lease is over, which the next command on them fails. */
export interface RunListing {
  runs: RunRecord[]
  lease_expired: string[]
  /** The cursor of the next page; null after the last. */
  next: string | null
}

export interface RunTree {
  run: RunRecord
  children: RunTree[]
}

/** How a run stands at the moment of asking: computed, not recorded. */
export interface Why {
  run_id: string
  status: RunStatus
  /** Where it is with its turns (seed 4, State Machine). */
  phase: Phase
  last_event: { seq: number; type: string; time: string; code: string | null }
  /** Events that the run owes before it may complete, or to have ended at all. */
  missing_events: string[]
  denied: { decision_id: string | null; missing: string[]; reason: string | null; rule_ids: string[] } | null
  lock: { name: string; token: number; current: boolean } | null
  /** Whole seconds; null where the run has no lease or does not run. */
  lease_remaining_s: number | null
  lease_expired: boolean
  moves: readonly RunStatus[]
}

/** Errors: NOT_FOUND. */
export function stateOfRun(core: Core, runId: string): RunState {
  const row = core.rows.get(streamOf(runId))
  if (row !== undefined) return row.state as RunState
  throw new LockstepError('NOT_FOUND', `there is no run ${runId}`, { details: { run_id: runId } })
}

/** Cost: one pass over the rows of runs, up to the end of the page. */
export async function listRuns(core: Core, asked: z.output<typeof listRunsSchema>): Promise<RunListing> {
  const { cursor, limit } = asked
  const now = core.now()
  const listing: RunListing = { runs: [], lease_expired: [], next: null }
  for await (const [, row] of core.log.rows(streamOf(''))) {
    const run = row.state as RunState
    if (
      (cursor !== undefined && Buffer.compare(Buffer.from(run.run_id), Buffer.from(cursor)) <= 0) ||
      !isAskedFor(run, asked)
    )
      continue
    if (listing.runs.length === limit) {
      listing.next = listing.runs.at(-1)?.run_id ?? null
      break
    }
    listing.runs.push(recordOf(run))
    if (isExpired(run, now)) listing.lease_expired.push(run.run_id)
  }
  return listing
}

function isAskedFor(run: RunState, asked: z.output<typeof listRunsSchema>): boolean {
  const { actor_id, case_id, lane_id, run_kind, since, status, until } = asked
  const createdAt = Date.parse(run.created_at)
  return (
    (actor_id ?? run.manifest.actor.actor_id) === run.manifest.actor.actor_id &&
    (case_id ?? run.case_id) === run.case_id &&
    (lane_id ?? run.lane_id) === run.lane_id &&
    (run_kind ?? run.manifest.run_kind) === run.manifest.run_kind &&
    (status ?? run.status) === run.status &&
    (since === undefined || createdAt >= Date.parse(since)) &&
    (until === undefined || createdAt < Date.parse(until))
  )
}

/** Errors: NOT_FOUND. Cost: one pass over the rows of runs. */
export async function treeOf(core: Core, runId: string): Promise<RunTree> {
  const top = stateOfRun(core, runId)
  const below = new Map<string, RunState[]>()
  for await (const [, row] of core.log.rows(streamOf(''))) {
    const run = row.state as RunState
    if (run.parent_run_id === null || run.root_run_id !== top.root_run_id) continue
    const siblings = below.get(run.parent_run_id)
    if (siblings === undefined) below.set(run.parent_run_id, [run])
    else siblings.push(run)
  }
  const inOrder = (run: RunState): RunTree => {
    const children = (below.get(run.run_id) ?? []).toSorted((one, other) =>
      one.created_at < other.created_at ? -1 : 1,
    )
    return { run: recordOf(run), children: children.map(inOrder) }
  }
  return inOrder(top)
}

/** Errors: NOT_FOUND. Cost: one read an entry since the run ended, at most as many as a refusal looks back over. */
export function whyOf(core: Core, runId: string): Why {
  const run = stateOfRun(core, runId)
  const history = [...lastEntriesOf(core, runId)]
  const [last] = history
  const openTurn = openTurnId(run.turns)
  const now = core.now()
  const remaining = run.lease === null || run.status !== 'running' ? null : leaseRemainingMillis(run.lease, now)
  return {
    run_id: run.run_id,
    status: run.status,
    phase: phaseOf(run),
    last_event: {
      seq: last?.seq ?? 0,
      type: last?.type ?? '',
      time: last?.time ?? '',
      code: typeof last?.data.code === 'string' ? last.data.code : null,
    },
    missing_events: [
      ...run.open.map(({ action_type, decision_id }) => `${action_type} of ${decision_id}`),
      ...(isTerminal(run.status) || openTurn === undefined ? [] : [`promotion or rejection of ${openTurn}`]),
      ...(isTerminal(run.status) ? [] : [run.status === 'created' ? 'the start' : 'the end']),
    ],
    denied: deniedBy(history),
    lock: run.lock && { ...run.lock, current: isCurrent(core, run.lock) },
    lease_remaining_s: remaining === null ? null : Math.max(0, Math.ceil(remaining / 1000)),
    lease_expired: isExpired(run, now),
    moves: moves[run.status],
  }
}

/** The newest entries of a run, the newest first. */
function* lastEntriesOf(core: Core, runId: string): Generator<Entry> {
  let seq = core.rows.get(streamOf(runId))?.last_seq ?? null
  for (let step = 0; step < limits.refusalLookBack && seq !== null; step += 1) {
    const entry = core.log.entry(seq)
    if (entry === undefined) return
    yield entry
    seq = entry.prev.stream
  }
}

function deniedBy(history: readonly Entry[]): Why['denied'] {
  const denied = history.find(({ type }) => type === 'run.denied')
  if (denied === undefined) return null
  const { missing, reason, rule_ids } = denied.data as RunEventData<'run.denied'>
  const decision = history.find(
    ({ data, seq, type }) => type === 'run.decided' && data.decision === 'deny' && seq < denied.seq,
  )
  return { decision_id: reason === null ? null : (decision?.event_id ?? null), missing, reason, rule_ids }
}

function isCurrent(core: Core, lock: { name: string; token: number }): boolean {
  const state = core.rows.get(lockStreamOf(lock.name))?.state as LockState | undefined
  return judgeGuard(lock, state, 'run.why', core.now()) === undefined
}
