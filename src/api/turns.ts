import { errorCodes } from '../domain/turn/issue.ts'
import { anyGrant, type CallOptions, type Operations, type TokenGrant } from './operation.ts'
import * as shapes from './shapes/turns.ts'

/**
 * Turns: atomic, ordered publishing of JSON state. Each turn belongs to a running run; it is staged, validated and
 * promoted, strictly one after the other. An error about the content of a turn carries its `issues` in `details`.
 */
export interface TurnsApi {
  /** Holds a proposal, in place of an earlier one. Sovereign state does not change. Cost: its objects, one append. */
  stage(input: shapes.StageTurn, options?: CallOptions): Promise<shapes.StagedTurn>
  /** Judges the staged proposal and records the verdict. Cost: one append. */
  validate(input: shapes.ValidateTurn, options?: CallOptions): Promise<shapes.TurnVerdict>
  /** Makes the validated proposal sovereign state, all of it or nothing. A refusal is recorded. Cost: one append. */
  promote(input: shapes.PromoteTurn, options?: CallOptions): Promise<shapes.PromotedTurn>
  /** Stages, validates and promotes, each under the guard. A verdict of FAIL is an error. Cost: three appends. */
  apply(input: shapes.ApplyTurn, options?: CallOptions): Promise<shapes.PromotedTurn>
  /** Discards the staged proposal; the turn can be staged again. Cost: one append. */
  reject(input: shapes.RejectTurn, options?: CallOptions): Promise<shapes.TurnState>
  /** The state of a turn. Cost: one read for each turn that was promoted after it. */
  get(input: shapes.OfTurn, options?: CallOptions): Promise<shapes.TurnState>
  /** The turns of a run, in order; the open turn comes last. Cost: one read for each turn. */
  list(input: shapes.ListTurns, options?: CallOptions): Promise<shapes.TurnList>
}

const onTurn = [
  'NOT_FOUND',
  'NOT_RUN_ACTOR',
  'RUN_NOT_ACTIVE',
  'RUN_LEASE_EXPIRED',
  'STALE_TOKEN',
  'LEASE_EXPIRED',
  'IDEMPOTENCY_MISMATCH',
  'FREE_TEXT_DENIED',
  'E_PROMOTION_FAILED',
  'E_PROMOTION_ALREADY_APPLIED',
  'E_PROMOTION_OUT_OF_ORDER',
] as const
const onStaged = [...onTurn, 'RUN_ANCESTOR_ENDED', 'E_PROMOTION_STAGE_MISSING', 'E_PROMOTION_NOT_VALIDATED'] as const
const onPromotion = [
  ...onStaged,
  'GUARD_REQUIRED',
  'DECISION_REQUIRED',
  'DECISION_NOT_OPEN',
  'E_TOMBSTONE_INVALID',
  'E_DELETE_MISSING_TOMBSTONE',
  'E_PROMOTION_CONFLICT',
  'E_STEM_COLLISION',
  'E_LSI_DUPLICATE_IDENTITY',
  'E_LSI_ORPHAN_TARGET',
] as const
/** Operators may act on the runs of others. */
const ofTurns: readonly TokenGrant[] = ['agent', 'operator']

export const turns: Operations<TurnsApi> = {
  stage: {
    kind: 'command',
    summary: 'Holds a proposal until it is promoted or replaced.',
    input: shapes.stage,
    output: shapes.staged,
    errors: [...onTurn, 'RUN_ANCESTOR_ENDED', ...errorCodes],
    grants: ofTurns,
  },
  validate: {
    kind: 'command',
    summary: 'Judges the staged proposal and records the verdict.',
    input: shapes.validate,
    output: shapes.verdict,
    errors: onStaged,
    grants: ofTurns,
  },
  promote: {
    kind: 'command',
    summary: 'Makes the validated proposal sovereign state, all of it or nothing.',
    input: shapes.promote,
    output: shapes.promoted,
    errors: onPromotion,
    grants: ofTurns,
  },
  apply: {
    kind: 'command',
    summary: 'Stages, validates and promotes a proposal.',
    input: shapes.apply,
    output: shapes.promoted,
    errors: [...new Set([...onPromotion, ...errorCodes])],
    grants: ofTurns,
  },
  reject: {
    kind: 'command',
    summary: 'Discards the staged proposal.',
    input: shapes.reject,
    output: shapes.status,
    errors: [...onTurn, 'E_PROMOTION_STAGE_MISSING'],
    grants: ofTurns,
  },
  get: {
    kind: 'query',
    summary: 'Shows the state of a turn.',
    input: shapes.ofTurn,
    output: shapes.status,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  list: {
    kind: 'query',
    summary: 'Lists the turns of a run, in order.',
    input: shapes.list,
    output: shapes.listed,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
}
