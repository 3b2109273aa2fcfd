import * as z from 'zod'
import { runIdSchema, sha256Schema } from '../vocabulary.ts'
import { issueSchema } from './issue.ts'
import { wrongWithStem } from './stem.ts'
import { turnIdSchema } from './turn-id.ts'

export const stemSchema = z
  .string()
  .min(1)
  .refine((stem) => wrongWithStem(stem) === undefined, 'must be a stem')
const text = z.string().min(1)

/** What the workspace knows of a promoted stem. */
export const tripletSchema = z.strictObject({
  body_digest: sha256Schema,
  dto_type: text.nullable(),
  id: text.nullable(),
  links_digest: sha256Schema,
  manifest_digest: sha256Schema,
  run_id: runIdSchema,
  stem: stemSchema,
  updated_at_turn: turnIdSchema,
})
export type Triplet = z.infer<typeof tripletSchema>

/** The one signal that deletes a stem (seed 4, Law 6): five members, none empty, nothing else. */
export const tombstoneSchema = z.strictObject({
  deleted_by_turn_id: text,
  dto_type: text,
  id: text,
  kind: z.literal('tombstone'),
  stem: text,
})
export type Tombstone = z.infer<typeof tombstoneSchema>

/** What a promotion made true: the stems it wrote and those it deleted, and what was worth telling. */
export const promotionResultSchema = z.strictObject({
  delta_digest: sha256Schema,
  deleted_stems: z.array(stemSchema),
  issues: z.array(issueSchema),
  outcome: z.literal('PASS'),
  promoted_stems: z.array(stemSchema),
})
export type PromotionResult = z.infer<typeof promotionResultSchema>

/** One place that points to a target: the ref in the links of a stem, whose digest is the links object's. */
export interface Source {
  artifact_digest: string
  location: string
  relationship: string | null
  stem: string
}

/** Who points to a target. It does not say that the target exists. */
export interface RefRecord {
  id: string
  sources: Source[]
  type: string
}

/** A triplet as it is staged: what it is by digest, and the body it was based on, if that was said. */
export interface StagedTriplet {
  base_digest?: string | null
  body_digest: string
  dto_type: string | null
  id: string | null
  links_digest: string
  manifest_digest: string
  stem: string
}

/** A tombstone as it is staged. */
export interface StagedTombstone extends Tombstone {
  base_digest?: string | null
}

/** All that is staged on a turn, by stem: what the manifest object of `turn.staged` says. */
export interface StagedSet {
  delete_stem: readonly string[]
  tombstones: readonly StagedTombstone[]
  triplets: readonly StagedTriplet[]
  version: 'v1'
}

/** Whether a turn would change nothing at all. */
export function isEmptySet({ delete_stem, tombstones, triplets }: StagedSet): boolean {
  return delete_stem.length + tombstones.length + triplets.length === 0
}

/** SHA-256 of `{}`: an object that says nothing and that nobody need read. */
export const emptyObjectDigest = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
