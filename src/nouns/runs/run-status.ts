import type { z } from 'zod'
import type { RunList, RunReasons, RunTree } from '../../api/shapes/runs.ts'
import { probeHolder } from '../../disk/process.ts'
import { judgeGuard, stateOfLock } from '../../domain/lock/decide.ts'
import type { Liveness } from '../../domain/lock/liveness.ts'
import { isExpired } from '../../domain/run/case.ts'
import type { listRunsSchema } from '../../domain/run/commands.ts'
import type { RunEventData } from '../../domain/run/events.ts'
import { isTerminal, moves } from '../../domain/run/moves.ts'
import { recordOf } from '../../domain/run/record.ts'
import type { RunState } from '../../domain/run/state.ts'
import { openTurnId, phaseOf } from '../../domain/run/turns.ts'
import { LockstepError } from '../../errors.ts'
import { leaseRemainingMillis } from '../../kernel/clock.ts'
import type { Entry } from '../../kernel/entry.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import { limits } from '../../kernel/limits.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import { creationOf, runsOf } from '../../views/index-search.ts'
import type { Core } from '../../writer/core.ts'
import { isWithin, rangesOf, type Times } from '../audit/time-range.ts'

/** The published state of a run; undefined if the ledger has no entry of it. */
export function findRun({ views }: Pick<Core, 'views'>, runId: string): Maybe<RunState | undefined> {
  return after(views.row(streamOfRun(runId)), (row) => row?.state as RunState | undefined)
}

/** Errors: NOT_FOUND. */
export async function stateOfRun(core: Core, runId: string): Promise<RunState> {
  const run = await findRun(core, runId)
  if (run !== undefined) return run
  throw new LockstepError('NOT_FOUND', `there is no run ${runId}`, { details: { run_id: runId } })
}

/**
 * Lists runs in order of creation. Errors: NOT_FOUND (the cursor's run). Cost: the cost of `runsOf`, plus one read
 * per returned run.
 */
export async function listRuns(core: Core, asked: z.output<typeof listRunsSchema>): Promise<RunList> {
  const { actor_id, case_id, cursor, lane_id, limit, orphans, run_kind, since, until } = asked
  const status = asked.status ?? (orphans ? 'running' : undefined)
  const { size } = core.log.head()
  if (cursor !== undefined) await stateOfRun(core, cursor)
  await core.index.reached(size)
  const now = core.now()
  const listing: RunList = { runs: [], lease_expired: [], process_dead: [], next: null }
  const words = { actor_id, case_id, lane_id, run_kind, status }
  const { ranges } = await rangesOf(core, { since, until }, size)
  const bounds = { after: cursor, from: ranges[0]?.[0] ?? size, to: ranges.at(-1)?.[1] ?? 0 }
  for await (const page of runsOf(core.log, words, bounds)) {
    for (const runId of page) {
      const run = await stateOfRun(core, runId)
      // The run may have moved since the index was read.
      if (status !== undefined && run.status !== status) continue
      const isOver = isExpired(run, now)
      // On some systems a probe starts a program, so it is only made when orphans are requested.
      const isDead = orphans && isOrphan(run)
      if (orphans && !isOver && !isDead) continue
      if (!(await wasCreatedWithin(core, runId, { since, until }))) continue
      if (listing.runs.length === limit) {
        listing.next = listing.runs.at(-1)?.run_id ?? null
        return listing
      }
      listing.runs.push(recordOf(run))
      if (isOver) listing.lease_expired.push(run.run_id)
      if (isDead) listing.process_dead.push(run.run_id)
    }
  }
  return listing
}

/** Whether the processes that do the work of a run are alive. Nobody can know it of a run without recorded processes. */
export function livenessOfRun({ processes = [], started }: RunState): Liveness {
  return probeHolder(processes, Date.parse(started?.at ?? ''))
}

/** Whether a running run without a lease has recorded processes, all of them dead. */
function isOrphan(run: RunState): boolean {
  return run.status === 'running' && run.lease === null && livenessOfRun(run).alive === 'no'
}

/** Whether a run was created within the requested times. Cost: two reads if a time is requested. */
async function wasCreatedWithin(core: Core, runId: string, times: Times): Promise<boolean> {
  if (times.since === undefined && times.until === undefined) return true
  const seq = await creationOf(core.log, runId)
  const entry = seq === undefined ? undefined : await core.views.entry(seq)
  return entry !== undefined && isWithin(entry, times)
}

/** Errors: NOT_FOUND. Cost: one read per run of the whole tree that the run belongs to. */
export async function treeOf(core: Core, runId: string): Promise<RunTree> {
  const top = await stateOfRun(core, runId)
  const { size } = core.log.head()
  await core.index.reached(size)
  // A run is created after its parent, so its parent is already in the map.
  const trees = new Map<string, RunTree>([[runId, { run: recordOf(top), children: [] }]])
  for await (const page of runsOf(core.log, { root_run_id: top.root_run_id }, { from: 0, to: size })) {
    for (const id of page) {
      const run = await stateOfRun(core, id)
      const above = trees.get(run.parent_run_id ?? '')
      if (above === undefined || trees.has(id)) continue
      const tree = { run: recordOf(run), children: [] }
      above.children.push(tree)
      trees.set(id, tree)
    }
  }
  return trees.get(runId) as RunTree
}

/** The runs below a run that have not ended, page by page. Cost: one read per run of the whole tree it belongs to. */
export async function* runsBelow(core: Core, runId: string): AsyncGenerator<string[]> {
  const { root_run_id } = await stateOfRun(core, runId)
  const { size } = core.log.head()
  await core.index.reached(size)
  // A run is created after its parent, so its parent is already in the set.
  const below = new Set([runId])
  let found: string[] = []
  for await (const page of runsOf(core.log, { root_run_id }, { from: 0, to: size })) {
    for (const id of page) {
      const { parent_run_id, status } = await stateOfRun(core, id)
      if (!below.has(parent_run_id ?? '')) continue
      below.add(id)
      if (!isTerminal(status)) found.push(id)
      if (found.length < limits.runTreePage) continue
      yield found
      found = []
    }
  }
  if (found.length > 0) yield found
}

/** Those of some runs that have not ended. */
export async function unended(core: Core, runIds: readonly string[]): Promise<string[]> {
  const runs = await Promise.all(runIds.map((run_id) => stateOfRun(core, run_id)))
  return runs.filter(({ status }) => !isTerminal(status)).map(({ run_id }) => run_id)
}

/** The nearest run above a run that has ended, so that no work can be added; null if there is none. */
export async function endedAbove(core: Core, run: RunState): Promise<RunReasons['ended_ancestor']> {
  let below = run
  while (below.parent_run_id !== null) {
    const above = await stateOfRun(core, below.parent_run_id)
    const { run_id, status } = above
    if (isTerminal(status) && !below.manifest.metadata?.retry_of) return { run_id, status }
    below = above
  }
  return null
}

/** Whether a run is running, and no run above it has ended. Cost: one read, and one per run above. */
export async function mayStillAct(core: Core, runId: string): Promise<boolean> {
  const run = await stateOfRun(core, runId)
  return run.status === 'running' && (await endedAbove(core, run)) === null
}

/** Errors: NOT_FOUND. Cost: one read, and one per run above. For a denied run, one read per entry since the denial. */
export async function whyOf(core: Core, runId: string): Promise<RunReasons> {
  const run = await stateOfRun(core, runId)
  const { value: last } = await walked(core.views, await chainOfStream(core.views, streamOfRun(runId))).next()
  const openTurn = openTurnId(run.turns)
  const ended_ancestor = await endedAbove(core, run)
  const now = core.now()
  const remaining = run.lease === null || run.status !== 'running' ? null : leaseRemainingMillis(run.lease, now)
  return {
    run_id: run.run_id,
    status: run.status,
    phase: phaseOf(run),
    last_event: {
      seq: last?.seq ?? 0,
      type: last?.type ?? '',
      time: last === undefined ? '' : wallTimeOf(last),
      code: typeof last?.data.code === 'string' ? last.data.code : null,
    },
    missing_events: [
      ...run.open.map(({ action_type, decision_id }) => `${action_type} of ${decision_id}`),
      ...(isTerminal(run.status) || openTurn === undefined ? [] : [`promotion or rejection of ${openTurn}`]),
      ...(isTerminal(run.status) ? [] : [run.status === 'created' ? 'the start' : 'the end']),
    ],
    denied:
      run.status === 'denied'
        ? await deniedBy(walked(core.views, await chainOfStream(core.views, streamOfRun(runId))))
        : null,
    ended_ancestor,
    processes: processesOf(run),
    lock: run.lock && { ...run.lock, current: await isCurrent(core, run.lock) },
    lease_remaining_s: remaining === null ? null : Math.max(0, Math.ceil(remaining / 1000)),
    lease_expired: isExpired(run, now),
    moves: moves[run.status].filter((to) => ended_ancestor === null || !addsWork(to)),
  }
}

/**
 * Finds the denial and its decision. Any number of refusals may follow the denial. The decision comes before it, with
 * action events in between.
 */
async function deniedBy(history: AsyncIterable<Entry>): Promise<RunReasons['denied']> {
  let denied: RunEventData<'run.denied'> | undefined
  for await (const { data, event_id, type } of history) {
    if (type === 'run.denied') denied = data as RunEventData<'run.denied'>
    if (denied === undefined) continue
    const { missing, reason, rule_ids } = denied
    if (reason === null) return { decision_id: null, missing, reason, rule_ids }
    if (type === 'run.decided') return { decision_id: event_id, missing, reason, rule_ids }
  }
  return null
}

/** Whether a move is refused below an ended run. */
function addsWork(to: RunStatus): boolean {
  return to === 'running' || to === 'completed'
}

/** The recorded processes of a run, and for a running run whether they are alive. */
function processesOf(run: RunState): RunReasons['processes'] {
  const [first] = run.processes ?? []
  if (first === undefined) return null
  const alive = run.status === 'running' ? livenessOfRun(run).alive : null
  return { alive, host: first.host, pids: (run.processes ?? []).map(({ pid }) => pid) }
}

async function isCurrent(core: Core, lock: { name: string; token: number }): Promise<boolean> {
  const { views } = core
  const state = await views.untilLoaded(() => stateOfLock({ get: views.loaded.row, state: views.loaded.state }, lock))
  return judgeGuard(lock, state, 'run.why', core.now()) === undefined
}
