import type { Context, Decision, LoadedRows, Refusal } from '../../kernel/decider.ts'
import { refuse } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import { type Policies, policyInForce } from '../policy/state.ts'
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
} from '../run/case.ts'
import { judgeLockOfRun } from '../run/lock-of-run.ts'
import { streamOf } from '../run/state.ts'
import { mayHaveTurns, type TurnChain } from '../run/turns-of-run.ts'
import { noTurns } from './state.ts'

// The parts of runs that decisions on turns use. Aggregates do not import each other, so this module connects them.

/** The stream of a run's turns, which is that of the run. */
export { streamOf } from '../run/state.ts'

/** The run of a turn, for decisions on the turn. */
export interface RunOfTurn {
  chain: TurnChain
  runId: string
  /** The name of the lock that the run was started with. */
  lock: string | null
  /** The workspace whose sovereign state the turns change. */
  workspace: string
  /** Builds one append with events of the run, in order. */
  append(drafts: readonly { type: string; data: object }[]): { kind: 'append'; events: readonly EventDraft[] }
  /**
   * The refusal if the run cannot have turns now. The checks are, in order: its kind and names, then RUN_NOT_ACTIVE or
   * its lease.
   */
  inactive(): Refusal | undefined
  /** Ends a run with an expired lease, in place of the requested command; undefined if the lease has not expired. */
  expired(): Decision | undefined
  /** The problem with the lock that the run was started with, as for a guard. */
  lostLock(command: string): Refusal | undefined
  /** FREE_TEXT_DENIED, if the lane allows only single words. */
  freeText(text: string): Refusal | undefined
}

/** Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded). */
export function runOfTurn(
  { policies, run_id, type }: { policies: Policies; run_id: string; type: string },
  context: Context,
  rows: LoadedRows,
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
  const message = 'run_id and workflow_id of a run with turns must consist of letters, digits and . _ -, without ..'
  return refuse('INVALID_INPUT', message, { run_id, workflow_id: workflow_id ?? null })
}

/** Whether a text can be a folder name on every system that workspaces are written to. */
export function isWorkspaceName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) && !name.includes('..')
}
