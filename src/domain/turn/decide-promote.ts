import type { Decision } from '../../kernel/decider.ts'
import { limits } from '../../kernel/limits.ts'
import { stoppedAbove } from '../run/above.ts'
import { expired as expiredRun } from '../run/case.ts'
import type { OpenAction } from '../run/state.ts'
import { turnIdOf } from '../run/turns.ts'
import { governorOf } from '../run/workflows.ts'
import {
  append,
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
import type { PromoteTurn } from './commands.ts'
import { effectOf, type Promotion } from './effect.ts'
import { isError } from './issue.ts'
import { listed } from './issue-list.ts'
import { isEmptySet, type StagedSet, type Triplet } from './triplet.ts'

/**
 * Promotes a turn: the effect of the staged proposal becomes sovereign state, in one append (Run Lifecycle Contract,
 * Law 2 and Law 6). Refusals, in order, each recorded as `turn.promotion_rejected`: E_PROMOTION_FAILED (malformed
 * turn_id), E_PROMOTION_ALREADY_APPLIED, RUN_NOT_ACTIVE, GUARD_REQUIRED, STALE_TOKEN and LEASE_EXPIRED,
 * RUN_ANCESTOR_ENDED, DECISION_REQUIRED, DECISION_NOT_OPEN, E_PROMOTION_OUT_OF_ORDER, E_PROMOTION_FAILED (the last stage was refused), E_PROMOTION_NOT_VALIDATED,
 * E_PROMOTION_STAGE_MISSING, E_TOMBSTONE_INVALID and E_DELETE_MISSING_TOMBSTONE, E_PROMOTION_CONFLICT,
 * E_STEM_COLLISION, E_LSI_DUPLICATE_IDENTITY and E_LSI_ORPHAN_TARGET.
 */
export function decidePromote(of: TurnCase<PromoteTurn>): Decision {
  const early = wrongTurn(of)
  if (early !== undefined) return rejected(of, early)
  const lost = lostGuard(of)
  // Nothing may be appended under a failed guard, even if the lease of the run has expired as well.
  const expired = lost === undefined ? expiredRun(of) : undefined
  if (expired !== undefined) return expired
  const idle = inactive(of)
  if (idle !== undefined) return rejected(of, { ...idle, facts: idle.details })
  const unguarded = guardRequired(of)
  if (unguarded !== undefined) return rejected(of, unguarded)
  if (lost !== undefined) return rejected(of, { ...lost, facts: lost.details })
  const stopped = stoppedAbove(of, of.command.type)
  if (stopped !== undefined)
    return stopped.kind === 'refuse' ? rejected(of, { ...stopped, facts: stopped.details }) : stopped
  const wrong = wrongDecision(of) ?? outOfOrder(of) ?? notPromotable(of)
  if (wrong !== undefined) return rejected(of, wrong)
  const promotion = promotionOf(of)
  const failed = failedChecks(of, promotion)
  return failed === undefined ? promoted(of, promotion) : rejected(of, failed)
}

function rejected(of: TurnCase<PromoteTurn>, wrong: Wrong): Decision {
  const isChange = of.chain.phase !== 'PROMOTION_REJECTED'
  return refusal(of, wrong, { type: 'turn.promotion_rejected', isChange })
}

/** If a run was started with a lock, every promotion must have the grant of that lock as its guard. */
function guardRequired({ command, run }: TurnCase<PromoteTurn>): Wrong | undefined {
  const { lock, run_id } = run
  if (lock === null || command.guard?.name === lock.name) return undefined
  return {
    code: 'GUARD_REQUIRED',
    message: `${run_id} was started with the lock ${lock.name}, so a guard on that lock is required`,
    facts: { name: lock.name },
  }
}

/** A decision that is named must be an open allow of the run. The lane of a run can require one in its whole workflow. */
function wrongDecision(of: TurnCase<PromoteTurn>): Wrong | undefined {
  const { decision_id } = of.command
  const { run_id, turns_require_decision } = of.run
  if (decision_id === undefined) {
    const governor = turns_require_decision ? run_id : governorOf(of.rows, of.run.manifest.workflow_id)
    if (governor === undefined) return undefined
    const message = `each promotion of ${run_id} needs the decision_id of an allow`
    const because = governor === run_id ? '' : `, because the lane of ${governor} demands it in their workflow`
    return { code: 'DECISION_REQUIRED', message: `${message}${because}` }
  }
  if (allowOf(of) !== undefined) return undefined
  const message = `${run_id} has no open decision ${decision_id}`
  return { code: 'DECISION_NOT_OPEN', facts: { decision_id }, message }
}

/** The unrecorded allow that the promotion uses. */
function allowOf({ command, run }: TurnCase<PromoteTurn>): OpenAction | undefined {
  return run.open.find(({ decision_id }) => decision_id === command.decision_id)
}

/** The problem that keeps the turn from being promoted, by its last event. */
function notPromotable(of: TurnCase<PromoteTurn>): Wrong | undefined {
  const { command, rows } = of
  const { open } = of.chain
  const { turn_id } = command
  if (open?.status === 'refused') {
    return {
      code: 'E_PROMOTION_FAILED',
      message: `the last stage of ${turn_id} was refused`,
      facts: { seq: open.seq },
    }
  }
  const other = otherStaged(of)
  if (other !== undefined) return other
  const isNothing =
    open === null || (open.staged !== null && isEmptySet(rows.object(open.staged.manifest_digest) as StagedSet))
  const isOver = open?.status === 'failed' || open?.status === 'rejected'
  if (isOver || (open?.status === 'staged' && !isNothing)) {
    const why = {
      failed: 'failed its validation',
      rejected: 'was rejected',
      staged: 'was not validated after it was staged',
    }
    return {
      code: 'E_PROMOTION_NOT_VALIDATED',
      message: `${turn_id} ${why[open?.status as keyof typeof why]}`,
      facts: { seq: open?.seq ?? null, status: open?.status ?? null },
    }
  }
  if (!isNothing || !command.require_staged) return undefined
  return { code: 'E_PROMOTION_STAGE_MISSING', message: `nothing is staged on ${turn_id}` }
}

const nothing: StagedSet = { delete_stem: [], tombstones: [], triplets: [], version: 'v1' }

function promotionOf(of: TurnCase<PromoteTurn>): Promotion {
  const { command } = of
  const set = stagedSet(of, of.chain.open) ?? nothing
  return { run_id: command.run_id, set, turn_id: command.turn_id, workspace: of.workspace }
}

/**
 * Runs the groups of checks against the current workspace. The first group that fails decides, with all issues that it
 * found.
 */
function failedChecks(of: TurnCase<PromoteTurn>, promotion: Promotion): Wrong | undefined {
  const { command, rows } = of
  const checks = new TurnChecks(promotion, rows, demands(of))
  for (const group of [() => checks.deletes(), () => checks.bases(), () => checks.integrity()]) {
    const wrong = wrongContent(group().filter(isError), command.turn_id)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

function promoted(of: TurnCase<PromoteTurn>, promotion: Promotion): Decision {
  const { rows } = of
  const { changes, deleted, issues, promoted, records } = effectOf(promotion, rows)
  // Notices about tombstones of unknown stems come first, and none may be cut: they show which stems were really
  // deleted.
  const { list, objects } = listed(issues, rows.digest, limits.turnStemsMaxMax)
  const data = {
    deleted_count: deleted.length,
    delta_digest: rows.digest(deltaText({ deleted, records })),
    issues: list,
    manifest_digest: of.chain.open?.staged?.manifest_digest ?? null,
    outcome: 'PASS' as const,
    previous: of.chain.last_seq,
    promoted_count: promoted.length,
    run_id: promotion.run_id,
    turn_id: turnIdOf(of.chain.last + 1),
    workspace: promotion.workspace,
  }
  const allow = allowOf(of)
  if (allow === undefined) return append(of, { type: 'turn.promoted', data }, { changes, objects })
  const { run_id, turn_id } = data
  const acted = { ...allow, outcome: 'success' as const, outcome_reason: turn_id, run_id }
  const event = { type: 'turn.promoted' as const, data: { ...data, decision_id: allow.decision_id } }
  return append(of, event, { changes, objects }, [{ type: 'run.acted', data: acted }])
}

/**
 * The result of a promotion as one text: the records that it wrote and the stems that it deleted, in the order of
 * stems.
 */
function deltaText({ deleted, records }: { deleted: readonly string[]; records: readonly Triplet[] }): string {
  // Records are built with their members in canonical order.
  return JSON.stringify({ deleted_stems: deleted, records })
}
