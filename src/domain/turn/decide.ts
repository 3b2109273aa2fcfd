import type { Context, Decision, LoadedState, Refusal } from '../../kernel/decider.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import { policyStream } from '../policy/state.ts'
import { stoppedAbove } from '../run/above.ts'
import { expired } from '../run/case.ts'
import { refuseText } from '../run/free-text.ts'
import { noIssues, turnIdOf } from '../run/turns.ts'
import {
  append,
  caseOf,
  demands,
  inactive,
  lostGuard,
  otherStaged,
  outOfOrder,
  refusal,
  stagedSet,
  type TurnCase,
  type Wrong,
  wrongContent,
  wrongTurn,
} from './case.ts'
import { TurnChecks } from './checks.ts'
import type { RejectTurn, StageTurn, TurnCommand, ValidateTurn } from './commands.ts'
import { decidePromote } from './decide-promote.ts'
import { notice } from './issue.ts'
import { firstCode, listed } from './issue-list.ts'
import { decidePin, type PinCommand, pinStreamOf } from './pin.ts'
import { type CleanStaging, decideClean, stagingStreamOf } from './staging.ts'

/** The rows of its workspace follow from the row of the run, so the command does not name them. */
export function reads(command: TurnCommand | CleanStaging | PinCommand): readonly string[] {
  if (command.type === 'staging.clean') return [stagingStreamOf(command.data.run_id)]
  const reads = [streamOfRun(command.run_id), policyStream]
  return isPin(command) ? [...reads, pinStreamOf(command.workspace)] : reads
}

/**
 * Refusals of every command on a turn, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded). The command's own refusals come
 * after them. A cleanup of staged files is always recorded.
 */
export function decide(
  command: TurnCommand | CleanStaging | PinCommand,
  context: Context,
  rows: LoadedState,
): Decision {
  if (command.type === 'staging.clean') return decideClean(command)
  if (isPin(command)) return decidePin(command, context, rows)
  const of = caseOf(command, context, rows)
  if ('kind' in of) return of
  switch (command.type) {
    case 'turn.stage':
      return decideStage({ ...of, command })
    case 'turn.validate':
      return decideValidate({ ...of, command })
    case 'turn.promote':
      return decidePromote({ ...of, command })
    case 'turn.reject':
      return decideReject({ ...of, command })
  }
}

function isPin(command: TurnCommand | PinCommand): command is PinCommand {
  return command.type === 'pin.keep' || command.type === 'pin.drop'
}

/**
 * The checks for any command on a turn, before the turn itself is checked. Refusals, in order: E_PROMOTION_FAILED
 * (malformed turn_id), E_PROMOTION_ALREADY_APPLIED; then the ledger fails a run whose lease has expired; RUN_NOT_ACTIVE
 * or INVALID_INPUT (runs of this kind have no turns), STALE_TOKEN and LEASE_EXPIRED (recorded on the lock),
 * RUN_ANCESTOR_ENDED (recorded; a rejection adds no work, so it is not refused), E_PROMOTION_OUT_OF_ORDER.
 */
function early(of: TurnCase): Decision | undefined {
  const wrong = wrongTurn(of)
  if (wrong !== undefined) return refusal(of, wrong)
  const lost = lostGuard(of)
  if (lost !== undefined) return inactive(of) ?? lost
  const ended = expired(of) ?? inactive(of) ?? stopped(of)
  if (ended !== undefined) return ended
  const early = outOfOrder(of)
  return early && refusal(of, early, record(of))
}

/** A command that would add work below an ended run. */
function stopped(of: TurnCase): Decision | undefined {
  return of.command.type === 'turn.reject' ? undefined : stoppedAbove(of, of.command.type)
}

/** Of these refusals only that of a stage is recorded, because it is an event of the turn. */
function record(of: TurnCase): { type: 'turn.staging_rejected'; isChange: boolean } | undefined {
  if (of.command.type !== 'turn.stage') return undefined
  return { type: 'turn.staging_rejected', isChange: of.number === of.chain.last + 1 }
}

/**
 * Holds a proposal until it is promoted or replaced. Sovereign state does not change. Refusals: those of `early`, then
 * the errors of the proposal, recorded as `turn.staging_rejected`, which becomes the last event of the turn.
 */
function decideStage(of: TurnCase<StageTurn>): Decision {
  const wrong = early(of)
  if (wrong !== undefined) return wrong
  const { command, rows } = of
  const { proposal } = command
  if ('issues' in proposal) {
    const refused = wrongContent(proposal.issues, `the stage of ${command.turn_id} is refused`)
    return refusal(of, refused ?? { code: 'INVALID_INPUT', message: 'the proposal is missing' }, record(of))
  }
  const { delete_stem, tombstones, triplets } = proposal.counts
  const isEmpty = delete_stem + tombstones + triplets === 0
  const data = {
    bytes: proposal.bytes,
    counts: { delete_stem, tombstones, triplets },
    issues: listed(isEmpty ? [notice('I_STAGING_EMPTY', 'stage', {})] : [], rows.digest).list,
    manifest_digest: proposal.manifest_digest,
    run_id: command.run_id,
    turn_id: command.turn_id,
    workspace: of.workspace,
  }
  return append(of, { type: 'turn.staged', data })
}

/**
 * Records a verdict on the staged proposal against the current workspace. Every call gives a new verdict. Refusals:
 * those of `early`, then E_PROMOTION_FAILED (the last stage was refused), E_PROMOTION_STAGE_MISSING,
 * E_PROMOTION_NOT_VALIDATED (another proposal is staged than the command names).
 */
function decideValidate(of: TurnCase<ValidateTurn>): Decision {
  const wrong = early(of) ?? nothingStaged(of)
  if (wrong !== undefined) return wrong
  const other = otherStaged(of)
  if (other !== undefined) return refusal(of, other)
  const { command, rows } = of
  const { run_id, turn_id } = command
  const { open } = of.chain
  const set = stagedSet(of, open)
  const manifest_digest = open?.staged?.manifest_digest
  if (set === undefined || manifest_digest === undefined) return refusal(of, stageMissing(of))
  const found = new TurnChecks({ run_id, set, turn_id, workspace: of.workspace }, rows, demands(of)).all()
  const { issues, list, objects } = listed(found, rows.digest)
  const data = { issues: list, manifest_digest, run_id, turn_id }
  const failed = firstCode(issues)
  if (failed === undefined) return append(of, { type: 'turn.validated', data }, { objects })
  const verdict = {
    ...data,
    by: 'validation' as const,
    code: failed,
    reason: `${failed} and nothing of it is promoted`,
  }
  return append(of, { type: 'turn.rejected', data: verdict }, { objects })
}

/**
 * Gives up the staged proposal. The turn may be staged again. Refusals: those of `early`, then E_PROMOTION_FAILED,
 * E_PROMOTION_STAGE_MISSING, FREE_TEXT_DENIED.
 */
function decideReject(of: TurnCase<RejectTurn>): Decision {
  const { command } = of
  const wrong = early(of) ?? nothingStaged(of) ?? refuseText(of, [command.reason], command.type)
  if (wrong !== undefined) return wrong
  const { reason, run_id, turn_id } = command
  const manifest_digest = of.chain.open?.staged?.manifest_digest ?? null
  return append(of, {
    type: 'turn.rejected',
    data: { by: 'caller', code: null, issues: noIssues, manifest_digest, reason, run_id, turn_id },
  })
}

function nothingStaged(of: TurnCase): Refusal | undefined {
  const { open } = of.chain
  if (open?.status === 'refused') {
    return refusal(of, {
      code: 'E_PROMOTION_FAILED',
      message: 'the last stage was refused',
      facts: { seq: open.seq },
    })
  }
  return open === null || open.staged === null || open.status === 'rejected' ? refusal(of, stageMissing(of)) : undefined
}

function stageMissing(of: TurnCase): Wrong {
  return { code: 'E_PROMOTION_STAGE_MISSING', message: `nothing is staged on ${turnIdOf(of.chain.last + 1)}` }
}
