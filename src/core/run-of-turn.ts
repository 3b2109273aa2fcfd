import type { Context, Decision, Refusal, Rows } from './decider.ts'
import { refuse } from './decider.ts'
import type { EventDraft } from './entry.ts'
import { judgeLockOfRun } from './lock-of-run.ts'
import { type Policies, policyInForce } from './policies.ts'
import {
  append,
  eventsOfRun,
  expiredEvents,
  freeTextIn,
  isExpired,
  laneOf,
  notRunActor,
  type RunCase,
  refuseFreeText,
  rowOf,
} from './run/case.ts'
import { streamOf } from './run/state.ts'
import { noTurns } from './turn/state.ts'
import { mayHaveTurns, type TurnChain } from './turns-of-run.ts'

// What decisions on turns take of runs: aggregates do not know each other, so it stands between them.

/** The stream that a run's turns stand in: the run's own. */
export { streamOf } from './run/state.ts'

/** The run that a turn is of, as a decision on the turn sees it. */
export interface RunOfTurn {
  chain: TurnChain
  runId: string
  /** The name of the lock that the run was started with. */
  lock: string | null
  /** Whose sovereign state its turns change. */
  workspace: string
  /** Events of the run, in the order in which they happened, as one append. */
  append(drafts: readonly { type: string; data: object }[]): { kind: 'append'; events: readonly EventDraft[] }
  /** What keeps the run from having turns now, in order: its kind and names, then RUN_NOT_ACTIVE or its lease. */
  inactive(): Refusal | undefined
  /** The end of a run whose lease is over, by the ledger, in the place of what was asked; undefined where it is not. */
  expired(): Decision | undefined
  /** What is wrong with the lock that the run was started with, as of a guard. */
  lostLock(command: string): Refusal | undefined
  /** FREE_TEXT_DENIED where the lane has no room for more than a word. */
  freeText(text: string): Refusal | undefined
}

/** Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded). */
export function runOfTurn(
  { policies, run_id, type }: { policies: Policies; run_id: string; type: string },
  context: Context,
  rows: Rows,
): RunOfTurn | Refusal {
  const row = rowOf(rows, run_id)
  if (row === undefined) return refuse('NOT_FOUND', `there is no run ${run_id}`, { run_id })
  const of: RunCase = { context, inForce: policyInForce(rows, policies), lastSeq: row.last_seq, rows, run: row.state }
  const denied = notRunActor(of, type)
  if (denied !== undefined) return denied
  const { run } = of
  const { workflow_id } = run.manifest
  return {
    append: (drafts) => ({
      kind: 'append',
      events: eventsOfRun(
        of,
        drafts.map((draft) => ({ ...draft, stream: streamOf(run_id), data: draft.data as EventDraft['data'] })),
      ),
    }),
    chain: run.turns ?? noTurns,
    expired: () => (isExpired(run, context.now) ? append(of, expiredEvents(of)) : undefined),
    freeText: (text) => (freeTextIn(laneOf(of), [text]) === undefined ? undefined : refuseFreeText(run.lane_id)),
    inactive: () => refuseInactive(of),
    lock: run.lock?.name ?? null,
    lostLock: (command) => (run.lock === null ? undefined : judgeLockOfRun(rows, run.lock, command, context)),
    runId: run_id,
    workspace: workspaceOf({ run_id, workflow_id }),
  }
}

/** The workspace of a run: that of its workflow, or its own. */
export function workspaceOf({
  run_id,
  workflow_id,
}: {
  run_id: string
  workflow_id?: string | null | undefined
}): string {
  return workflow_id ? `workflow/${workflow_id}` : `run/${run_id}`
}

function refuseInactive({ run }: RunCase): Refusal | undefined {
  const { run_id, status } = run
  const { run_kind, workflow_id } = run.manifest
  if (status !== 'running') {
    return refuse('RUN_NOT_ACTIVE', `${run_id} is ${status}, not running`, { run_id, status })
  }
  if (!mayHaveTurns(run_kind)) {
    return refuse('INVALID_INPUT', `a run of kind ${run_kind} has no turns`, { run_id, run_kind })
  }
  if (isWorkspaceName(run_id) && (!workflow_id || isWorkspaceName(workflow_id))) return undefined
  const message = 'run_id and workflow_id of a run with turns are letters, digits and . _ -, without ..'
  return refuse('INVALID_INPUT', message, { run_id, workflow_id: workflow_id ?? null })
}

/** What can be the name of a folder wherever the workspace is written to. */
export function isWorkspaceName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) && !name.includes('..')
}
