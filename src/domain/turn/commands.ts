import * as z from 'zod'
import type { Command } from '../../kernel/decider.ts'
import { actorSchema, reasonSchema, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { printable } from '../../kernel/printable.ts'
import { line, runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'
import { lockNameSchema } from '../lock/names.ts'
import type { Policies } from '../policy/state.ts'
import { type Issue, issueSchema } from './issue.ts'

// The input of commands, parsed once at the boundary of the API. The content of triplets is checked in proposal.ts.

const guardSchema = z.strictObject({ name: lockNameSchema, token: z.int().min(0) })
/**
 * A malformed turn_id is accepted here, because the decision answers it with E_PROMOTION_FAILED. A text that an entry
 * cannot hold is quoted and cut, and stays malformed.
 */
const askedTurnId = z
  .string()
  .transform((text) => (line.safeParse(text).success ? text : `"${printable(text.slice(0, 16))}"`))
const ofTurn = {
  actor: actorSchema.optional(),
  guard: guardSchema.optional(),
  idempotency_key: requestKeySchema.optional(),
  run_id: runIdSchema,
  turn_id: askedTurnId,
}

/**
 * What must be promoted at the time of the promotion: the digest of the body, or `triplet_digest`, which is of body,
 * links and manifest; null if the stem must not exist.
 */
const baseDigest = sha256Schema.nullable().optional()

/**
 * One triplet of a proposal. Each part is a plain value or a `JsonObject` that was read from a file. Links and manifest
 * default to `{}`.
 */
export const proposedTriplet = z.strictObject({
  base_digest: baseDigest,
  body: z.unknown().optional(),
  links: z.unknown().optional(),
  manifest: z.unknown().optional(),
  stem: z.unknown(),
})
export type ProposedTriplet = z.output<typeof proposedTriplet>

export const stageSchema = z.strictObject({
  ...ofTurn,
  delete_stem: z.array(z.unknown()).default([]),
  /**
   * Issues found while files were read. If one of them is an error, the stage is refused and the refusal is recorded.
   */
  issues: z.array(issueSchema).max(limits.turnIssuesMax).default([]),
  /** Over a service: the SHA-256 of an upload that has the proposal, in place of the lists. */
  proposal_digest: sha256Schema.optional(),
  /** Tombstones of five members. Each may also have a `base_digest`. */
  tombstones: z.array(z.unknown()).default([]),
  triplets: z.array(proposedTriplet).default([]),
})
/**
 * The digest that `stage` returned. If another proposal is staged now, the command is refused with
 * E_PROMOTION_NOT_VALIDATED.
 */
const expected = { manifest_digest: sha256Schema.optional() }

export const validateSchema = z.strictObject({ ...ofTurn, ...expected })
export const promoteSchema = z.strictObject({
  ...ofTurn,
  ...expected,
  /** An allow of the run that is not recorded yet. The promotion is its outcome. */
  decision_id: line.optional(),
  require_staged: z.boolean().default(false),
})
export const rejectSchema = z.strictObject({ ...ofTurn, reason: reasonSchema.max(200) })
export const applySchema = stageSchema.extend({
  decision_id: promoteSchema.shape.decision_id,
  require_staged: promoteSchema.shape.require_staged,
})
export const ofTurnSchema = z.strictObject({ run_id: runIdSchema, turn_id: line })
export const listTurnsSchema = z.strictObject({
  /** The `next` of an answer, to continue with earlier turns. */
  cursor: z.int().min(0).optional(),
  limit: z.int().min(1).max(limits.turnListMax).default(limits.turnListMax),
  run_id: runIdSchema,
})

// The input of decisions.

interface OfTurn extends Command {
  run_id: string
  turn_id: string
  policies: Policies
}

/** A proposal whose objects are stored, or the issues of a proposal of which nothing is stored. */
export interface StageTurn extends OfTurn {
  type: 'turn.stage'
  proposal: StoredProposal | { issues: readonly Issue[] }
}
export interface StoredProposal {
  bytes: number
  counts: { delete_stem: number; tombstones: number; triplets: number }
  manifest_digest: string
}
export interface ValidateTurn extends OfTurn {
  type: 'turn.validate'
  manifest_digest?: string | undefined
}
export interface PromoteTurn extends OfTurn {
  type: 'turn.promote'
  decision_id?: string | undefined
  manifest_digest?: string | undefined
  require_staged: boolean
}
export interface RejectTurn extends OfTurn {
  type: 'turn.reject'
  reason: string
}
export type TurnCommand = StageTurn | ValidateTurn | PromoteTurn | RejectTurn
