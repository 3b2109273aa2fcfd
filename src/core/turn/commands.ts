import * as z from 'zod'
import type { Command } from '../decider.ts'
import { actorSchema, reasonSchema, requestKeySchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { lockNameSchema } from '../lock-of-run.ts'
import type { Policies } from '../policies.ts'
import { printable } from '../printable.ts'
import { line, runIdSchema, sha256Schema } from '../vocabulary.ts'
import { type Issue, issueSchema } from './issue.ts'

// What callers hand in: parsed once, at the boundary of the API. What a triplet holds is looked at in proposal.ts.

const guardSchema = z.strictObject({ name: lockNameSchema, token: z.int().min(0) })
/**
 * Whether a turn_id is well formed is decided, for a malformed one is a promotion that failed. What cannot stand in an
 * entry as it is, is quoted and cut, and no less malformed.
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

/** The body that must be there at promotion, by its digest; null where none may be. */
const baseDigest = sha256Schema.nullable().optional()

/**
 * One triplet of a proposal. Each part is a plain value or a `JsonObject` that a reader of files made; links and
 * manifest are `{}` unless given.
 */
const proposedTriplet = z.strictObject({
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
  /** What a reader of files found wrong already; with an error among them the stage is refused, and recorded. */
  issues: z.array(issueSchema).max(limits.turnIssuesMax).default([]),
  /** Tombstones of five members, each with a `base_digest` beside them if wanted. */
  tombstones: z.array(z.unknown()).default([]),
  triplets: z.array(proposedTriplet).default([]),
})
/** What is staged, by the digest that `stage` answered: another proposal in its place is E_PROMOTION_NOT_VALIDATED. */
const expected = { manifest_digest: sha256Schema.optional() }

export const validateSchema = z.strictObject({ ...ofTurn, ...expected })
export const promoteSchema = z.strictObject({ ...ofTurn, ...expected, require_staged: z.boolean().default(false) })
export const rejectSchema = z.strictObject({ ...ofTurn, reason: reasonSchema.max(200) })
export const applySchema = stageSchema.extend({ require_staged: promoteSchema.shape.require_staged })
export const ofTurnSchema = z.strictObject({ run_id: runIdSchema, turn_id: line })
export const listTurnsSchema = z.strictObject({
  /** The `next` of an answer: goes on with the turns before it. */
  cursor: z.int().min(0).optional(),
  limit: z.int().min(1).max(limits.turnListMax).default(limits.turnListMax),
  run_id: runIdSchema,
})

/** Whose sovereign state: that of a workflow, or of a run without one. */
export const workspaceSchema = z
  .strictObject({ run_id: runIdSchema.optional(), workflow_id: line.optional() })
  .refine((asked) => (asked.run_id === undefined) !== (asked.workflow_id === undefined), 'name a run or a workflow')

// What reaches the decision.

interface OfTurn extends Command {
  run_id: string
  turn_id: string
  policies: Policies
}

/** What was staged: the objects are stored; or what is wrong, and nothing is. */
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
  manifest_digest?: string | undefined
  require_staged: boolean
}
export interface RejectTurn extends OfTurn {
  type: 'turn.reject'
  reason: string
}
export type TurnCommand = StageTurn | ValidateTurn | PromoteTurn | RejectTurn
