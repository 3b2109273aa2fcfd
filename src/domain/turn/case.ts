import type { Code, Details } from '../../errors.ts'
import type { Context, Decision, LoadedState, Refusal } from '../../kernel/decider.ts'
import { refuse } from '../../kernel/decider.ts'
import type { PromoteTurn, TurnCommand, ValidateTurn } from './commands.ts'
import type { TurnDraft } from './events.ts'
import type { Issue } from './issue.ts'
import { firstCode, listed } from './issue-list.ts'
import { type RunOfTurn, runOfTurn } from './run-of-turn.ts'
import type { OpenTurn } from './state.ts'
import type { StagedSet } from './triplet.ts'
import { turnIdOf, turnNumberOf } from './turn-id.ts'

/** Everything that a decision on one turn can use. */
export interface TurnCase<C extends TurnCommand = TurnCommand> {
  command: C
  context: Context
  /** The number in the turn_id; undefined if the turn_id is malformed. */
  number: number | undefined
  rows: LoadedState
  run: RunOfTurn
}

/** Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR. */
export function caseOf<C extends TurnCommand>(command: C, context: Context, rows: LoadedState): TurnCase<C> | Refusal {
  const run = runOfTurn(command, context, rows)
  return 'kind' in run ? run : { command, context, number: turnNumberOf(command.turn_id), rows, run }
}

/** One event of the turn, with the objects and rows that belong to it. */
export function append(
  { run }: TurnCase,
  draft: TurnDraft,
  more: Omit<Extract<Decision, { kind: 'append' }>, 'events' | 'kind'> = {},
): Decision {
  return { ...run.append([draft]), ...more }
}

/** The code and the facts from which a refusal is built. */
export interface Wrong {
  code: Code
  facts?: Details
  issues?: readonly Issue[]
  message: string
}

/** E_PROMOTION_FAILED for a malformed turn_id, then E_PROMOTION_ALREADY_APPLIED. */
export function wrongTurn({ command, number, run }: TurnCase): Wrong | undefined {
  const { turn_id } = command
  const last = turnIdOf(run.chain.last)
  if (number === undefined) {
    return {
      code: 'E_PROMOTION_FAILED',
      message: 'the turn_id must be turn- and a number from 0001 on',
      facts: { requested: turn_id },
    }
  }
  if (number > run.chain.last) return undefined
  const message = `${turn_id} of ${run.runId} was promoted; the last promoted one is ${last}`
  return { code: 'E_PROMOTION_ALREADY_APPLIED', message, facts: { requested: turn_id, last } }
}

/** E_PROMOTION_OUT_OF_ORDER, if this is not the turn after the last promoted one (Run Lifecycle Contract, Law 2). */
export function outOfOrder({ command, number, run }: TurnCase): Wrong | undefined {
  const expected = run.chain.last + 1
  if (number === expected) return undefined
  const facts = { expected: turnIdOf(expected), last: turnIdOf(run.chain.last), requested: command.turn_id }
  return {
    code: 'E_PROMOTION_OUT_OF_ORDER',
    message: `the next turn is ${facts.expected}, not ${command.turn_id}`,
    facts,
  }
}

/** E_PROMOTION_NOT_VALIDATED, if another proposal is staged than the caller named. */
export function otherStaged({ command, run }: TurnCase<PromoteTurn | ValidateTurn>): Wrong | undefined {
  const { manifest_digest } = command
  const staged = run.chain.open?.staged?.manifest_digest ?? null
  if (manifest_digest === undefined || manifest_digest === staged) return undefined
  const message = `another proposal is staged on ${command.turn_id} than the command names`
  return {
    code: 'E_PROMOTION_NOT_VALIDATED',
    message,
    facts: { requested_manifest: manifest_digest, staged_manifest: staged },
  }
}

/** The problem with a failed guard, or with the run's own lock if the command has no guard. */
export function lostGuard({ command, context, run }: TurnCase): Refusal | undefined {
  return command.guard === undefined ? run.lostLock(command.type) : context.guard
}

/** A refusal of a turn; `record` names the event that records it. */
export function refusal(
  { command, rows, run }: TurnCase,
  { code, facts = {}, issues = [], message }: Wrong,
  record?: { type: 'turn.promotion_rejected' | 'turn.staging_rejected'; isChange: boolean },
): Refusal {
  const { run_id, turn_id } = command
  const details = { ...facts, run_id, turn_id }
  if (record === undefined) return refuse(code, message, details)
  const all = listed(issues, rows.digest)
  const data = { code, facts: facts as TurnFacts, issues: all.list, message, run_id, turn_id }
  const [event] = run.append([{ type: record.type, data }]).events
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
