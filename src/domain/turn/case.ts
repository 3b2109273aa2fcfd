import { type Code, type Details, invariant } from '../../errors.ts'
import type { Context, Decision, LoadedState, Refusal } from '../../kernel/decider.ts'
import { refuse } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import {
  caseOf as caseOfRun,
  eventsOfRun,
  lostLock,
  notActive,
  notOfRole,
  type RunCase,
  type RunDraft,
} from '../run/case.ts'
import { refuseNames } from '../run/free-text.ts'
import { mayHaveTurns, noTurns, type OpenTurn, type TurnChain, turnIdOf, turnNumberOf } from '../run/turns.ts'
import { isWorkflowOfAnother } from '../run/workflows.ts'
import type { PromoteTurn, TurnCommand, ValidateTurn } from './commands.ts'
import type { TurnDraft } from './events.ts'
import type { Issue } from './issue.ts'
import { firstCode, listed } from './issue-list.ts'
import type { StagedSet } from './triplet.ts'
import { isWorkspaceName, workspaceOf } from './workspace.ts'

/** Everything that a decision on one turn can use, besides what a decision on its run can use. */
export interface TurnCase<C extends TurnCommand = TurnCommand> extends RunCase {
  chain: TurnChain
  command: C
  /** The number in the turn_id; undefined if the turn_id is malformed. */
  number: number | undefined
  rows: LoadedState
  /** The workspace whose sovereign state the turns of the run change. */
  workspace: string
}

/**
 * Refusals, in order: FREE_TEXT_DENIED (a name that its entries repeat), NOT_FOUND, NOT_RUN_ACTOR, also if the configuration keeps the role of the run from the caller. A
 * rejection stops work, so it needs no role.
 */
export function caseOf<C extends TurnCommand>(command: C, context: Context, rows: LoadedState): TurnCase<C> | Refusal {
  const names = [command.turn_id, command.guard?.name, 'decision_id' in command ? command.decision_id : undefined]
  const of = refuseNames(command, { context, names, rows }) ?? caseOfRun(command, context, rows)
  if ('kind' in of) return of
  const unbound = command.type === 'turn.reject' ? undefined : notOfRole(of, command.type)
  if (unbound !== undefined) return unbound
  const { manifest, run_id, turns: chain = noTurns } = of.run
  const workspace = workspaceOf({ run_id, workflow_id: manifest.workflow_id })
  return { ...of, chain, command, number: turnNumberOf(command.turn_id), rows, workspace }
}

/** One event of the turn, with the objects and rows that belong to it, after events of its run. */
export function append(
  of: TurnCase,
  draft: TurnDraft,
  more: Omit<Extract<Decision, { kind: 'append' }>, 'events' | 'kind'> = {},
  before: readonly RunDraft[] = [],
): Decision {
  return { kind: 'append', events: eventsOfRun(of, [...before, onRun(of, draft)]), ...more }
}

function eventOf(of: TurnCase, draft: TurnDraft): EventDraft {
  const [event] = eventsOfRun(of, [onRun(of, draft)])
  invariant(event !== undefined, 'one draft gives one event')
  return event
}

function onRun({ run }: TurnCase, { data, type }: TurnDraft): EventDraft {
  return { type, stream: streamOfRun(run.run_id), data: data as EventDraft['data'] }
}

/**
 * The refusal if the run cannot have turns now. The checks are, in order: RUN_NOT_ACTIVE (recorded), then INVALID_INPUT for its
 * kind, its names, and a workflow of another case.
 */
export function inactive(of: TurnCase): Refusal | undefined {
  const { command, rows, run } = of
  const { run_id } = run
  const { run_kind, workflow_id } = run.manifest
  const ended = notActive(of, command.type)
  if (ended !== undefined) return ended
  if (!mayHaveTurns(run_kind)) {
    return refuse('INVALID_INPUT', `a run of kind ${run_kind} has no turns`, { run_id, run_kind })
  }
  if (isWorkflowOfAnother(rows, { case_id: run.case_id, workflow_id })) {
    return refuse('INVALID_INPUT', `the workflow ${workflow_id} belongs to another case than ${run_id}`, {
      run_id,
      workflow_id: workflow_id ?? null,
    })
  }
  if (isWorkspaceName(run_id) && (!workflow_id || isWorkspaceName(workflow_id))) return undefined
  const message = 'run_id and workflow_id of a run with turns must consist of letters, digits and . _ -, without ..'
  return refuse('INVALID_INPUT', message, { run_id, workflow_id: workflow_id ?? null })
}

/** The code and the facts from which a refusal is built. */
export interface Wrong {
  code: Code
  facts?: Details
  issues?: readonly Issue[]
  message: string
}

/** E_PROMOTION_FAILED for a malformed turn_id, then E_PROMOTION_ALREADY_APPLIED. */
export function wrongTurn({ chain, command, number, run }: TurnCase): Wrong | undefined {
  const { turn_id } = command
  const last = turnIdOf(chain.last)
  if (number === undefined) {
    return {
      code: 'E_PROMOTION_FAILED',
      message: 'the turn_id must be turn- and a number from 0001 on',
      facts: { requested: turn_id },
    }
  }
  if (number > chain.last) return undefined
  const message = `${turn_id} of ${run.run_id} was promoted; the last promoted one is ${last}`
  return { code: 'E_PROMOTION_ALREADY_APPLIED', message, facts: { requested: turn_id, last } }
}

/** E_PROMOTION_OUT_OF_ORDER, if this is not the turn after the last promoted one (Run Lifecycle Contract, Law 2). */
export function outOfOrder({ chain, command, number }: TurnCase): Wrong | undefined {
  const expected = chain.last + 1
  if (number === expected) return undefined
  const facts = { expected: turnIdOf(expected), last: turnIdOf(chain.last), requested: command.turn_id }
  return {
    code: 'E_PROMOTION_OUT_OF_ORDER',
    message: `the next turn is ${facts.expected}, not ${command.turn_id}`,
    facts,
  }
}

/** E_PROMOTION_NOT_VALIDATED, if another proposal is staged than the caller named. */
export function otherStaged({ chain, command }: TurnCase<PromoteTurn | ValidateTurn>): Wrong | undefined {
  const { manifest_digest } = command
  const staged = chain.open?.staged?.manifest_digest ?? null
  if (manifest_digest === undefined || manifest_digest === staged) return undefined
  const message = `another proposal is staged on ${command.turn_id} than the command names`
  return {
    code: 'E_PROMOTION_NOT_VALIDATED',
    message,
    facts: { requested_manifest: manifest_digest, staged_manifest: staged },
  }
}

/** The problem with a failed guard, or with the run's own lock if the command has no guard. */
export function lostGuard(of: TurnCase): Refusal | undefined {
  const { command, context } = of
  return command.guard === undefined ? lostLock(of, command.type) : context.guard
}

/** A refusal of a turn; `record` names the event that records it. */
export function refusal(
  of: TurnCase,
  { code, facts = {}, issues = [], message }: Wrong,
  record?: { type: 'turn.promotion_rejected' | 'turn.staging_rejected'; isChange: boolean },
): Refusal {
  const { command, rows } = of
  const { run_id, turn_id } = command
  const details = { ...facts, run_id, turn_id }
  if (record === undefined) return refuse(code, message, details)
  const all = listed(issues, rows.digest)
  const data = { code, facts: facts as TurnFacts, issues: all.list, message, run_id, turn_id }
  const event = eventOf(of, { type: record.type, data })
  const refused = refuse(code, message, issues.length === 0 ? details : { ...details, issues: all.issues }, event)
  return { ...refused, isChange: record.isChange, objects: all.objects }
}

type TurnFacts = Extract<TurnDraft, { type: 'turn.promotion_rejected' }>['data']['facts']

/** The refusal for errors in the content of a turn. It has the code that comes first in the order of codes. */
export function wrongContent(issues: readonly Issue[], what: string): Wrong | undefined {
  const code = firstCode(issues)
  if (code === undefined) return undefined
  const [first] = issues.filter((issue) => issue.code === code)
  return { code, issues, message: `${what}: ${first?.message ?? code}` }
}

/** The proposal that was staged last; undefined if nothing was staged or the stage was refused. */
export function stagedSet({ rows }: TurnCase, open: OpenTurn | null): StagedSet | undefined {
  if (open === null || open.staged === null) return undefined
  return rows.object(open.staged.manifest_digest) as StagedSet
}

/** What the configuration demands of a turn. */
export function demands({ context }: TurnCase): { demandsBase: boolean } {
  return { demandsBase: context.config.workflows.optimistic }
}
