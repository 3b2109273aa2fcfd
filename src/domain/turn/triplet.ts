import * as z from 'zod'
import { runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'
import { turnIdSchema } from '../run/turns.ts'
import { issueSchema } from './issue.ts'
import { wrongWithStem } from './stem.ts'

export const stemSchema = z
  .string()
  .min(1)
  .refine((stem) => wrongWithStem(stem) === undefined, 'must be a valid stem')
const text = z.string().min(1)

/** The facts about a promoted stem in its workspace. */
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

/**
 * A tombstone is the only way to delete a stem (Run Lifecycle Contract, Law 6). It has exactly five members, none of
 * them empty.
 */
export const tombstoneSchema = z.strictObject({
  deleted_by_turn_id: text,
  dto_type: text,
  id: text,
  kind: z.literal('tombstone'),
  stem: text,
})
export type Tombstone = z.infer<typeof tombstoneSchema>

/** The result of a promotion: the stems that it wrote, the stems that it deleted, and its notices. */
export const promotionResultSchema = z.strictObject({
  delta_digest: sha256Schema,
  deleted_stems: z.array(stemSchema),
  issues: z.array(issueSchema),
  outcome: z.literal('PASS'),
  promoted_stems: z.array(stemSchema),
})
export type PromotionResult = z.infer<typeof promotionResultSchema>

/** One ref that points to a target, in the links of a stem. The digest is that of the links object. */
export interface Source {
  artifact_digest: string
  location: string
  relationship: string | null
  stem: string
}

/** The refs that point to a target. The target need not exist. */
export interface RefRecord {
  id: string
  sources: Source[]
  type: string
}

/** A staged triplet: the digests of its objects, and of the body that it is based on, if stated. */
export interface StagedTriplet {
  base_digest?: string | null
  body_digest: string
  dto_type: string | null
  id: string | null
  links_digest: string
  manifest_digest: string
  stem: string
}

/** A staged tombstone. */
export interface StagedTombstone extends Tombstone {
  base_digest?: string | null
}

/** Everything that is staged on a turn, by stem. This is the manifest object of `turn.staged`. */
export interface StagedSet {
  delete_stem: readonly string[]
  tombstones: readonly StagedTombstone[]
  triplets: readonly StagedTriplet[]
  version: 'v1'
}

/** Whether a turn is empty. */
export function isEmptySet({ delete_stem, tombstones, triplets }: StagedSet): boolean {
  return delete_stem.length + tombstones.length + triplets.length === 0
}

/** The canonical text whose SHA-256 is the digest of a whole triplet: of its body, its links and its manifest. */
export function tripletText({ body_digest, links_digest, manifest_digest }: Parts): string {
  return JSON.stringify({ body_digest, links_digest, manifest_digest })
}

type Parts = Pick<StagedTriplet, 'body_digest' | 'links_digest' | 'manifest_digest'>

/** SHA-256 of `{}`. Empty objects need not be read. */
export const emptyObjectDigest = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
