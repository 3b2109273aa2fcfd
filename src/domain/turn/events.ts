import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { reasonSchema } from '../../kernel/ids.ts'
import { line, runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'
import { turnIdSchema } from '../run/turns.ts'
import { issueSchema } from './issue.ts'
import { pinEventSchemas } from './pin.ts'
import { stagingCleanedSchema } from './staging.ts'

/**
 * The issues of a turn in its entry: their number, as many of them as fit, and, if not all fit, the digest of the
 * object that lists all of them.
 */
export const issuesSchema = z.strictObject({
  count: z.int().min(0),
  digest: sha256Schema.nullable(),
  listed: z.array(issueSchema),
})
export type IssueList = z.infer<typeof issuesSchema>

const countsSchema = z.strictObject({
  delete_stem: z.int().min(0),
  tombstones: z.int().min(0),
  triplets: z.int().min(0),
})

/** The workspace of a turn: `workflow/<workflow_id>`, or `run/<run_id>` for a run without a workflow. */
const workspaceName = z.string().regex(/^(?:run|workflow)\/[A-Za-z0-9][A-Za-z0-9._-]*$/)

const ofTurn = { issues: issuesSchema, run_id: runIdSchema, turn_id: turnIdSchema }

/** A staged proposal. The manifest object names all stems and digests. */
const staged = z.strictObject({
  ...ofTurn,
  bytes: z.int().min(0),
  counts: countsSchema,
  manifest_digest: sha256Schema,
  workspace: workspaceName,
})

const validated = z.strictObject({ ...ofTurn, manifest_digest: sha256Schema })

/** A rejected turn: by its validation, by a caller, or by the end of its run. */
const rejected = z.strictObject({
  ...ofTurn,
  by: z.enum(['caller', 'completion', 'validation']),
  code: z.string().max(80).nullable(),
  manifest_digest: sha256Schema.nullable(),
  reason: freeText(reasonSchema.max(200)),
})

/** A promotion. `previous` is the seq of the previous promotion in the run. The changes follow from the objects. */
const promoted = z.strictObject({
  ...ofTurn,
  /** The allow that the promotion used. Its action event is in the same append. */
  decision_id: line.optional(),
  deleted_count: z.int().min(0),
  delta_digest: sha256Schema,
  manifest_digest: sha256Schema.nullable(),
  outcome: z.literal('PASS'),
  previous: z.int().min(0).nullable(),
  promoted_count: z.int().min(0),
  workspace: workspaceName,
})

/** The facts of a refusal, if it has any. */
export const factsSchema = z.strictObject({
  ancestor_run_id: runIdSchema.optional(),
  ancestor_status: z.string().optional(),
  current_token: z.int().min(0).nullable().optional(),
  decision_id: line.optional(),
  expected: turnIdSchema.optional(),
  last: z.string().optional(),
  name: z.string().optional(),
  requested: line.optional(),
  requested_manifest: sha256Schema.optional(),
  run_id: runIdSchema.optional(),
  run_kind: z.string().optional(),
  seq: z.int().min(0).nullable().optional(),
  staged_manifest: sha256Schema.nullable().optional(),
  status: z.string().optional(),
  token: z.int().min(0).optional(),
  workflow_id: line.nullable().optional(),
})

/** A recorded refusal, with the turn_id from the request. */
const refused = {
  code: z.string().max(80),
  facts: factsSchema,
  issues: issuesSchema,
  message: freeText(z.string()),
  repeats: z.int().min(1).optional(),
  run_id: runIdSchema,
  turn_id: line,
}

/** Every event of a turn, by type. They are in the stream of their run, except cleanups of staged files and pins. */
export const turnEventSchemas = {
  'turn.staging_cleaned': stagingCleanedSchema,
  'turn.staged': staged,
  'turn.staging_rejected': z.strictObject(refused),
  'turn.validated': validated,
  'turn.rejected': rejected,
  'turn.promoted': promoted,
  'turn.promotion_rejected': z.strictObject(refused),
  ...pinEventSchemas,
} as const

export type TurnEventType = keyof typeof turnEventSchemas
export type TurnEventData<Type extends TurnEventType> = z.infer<(typeof turnEventSchemas)[Type]>
export type TurnDraft = { [Type in TurnEventType]: { type: Type; data: TurnEventData<Type> } }[TurnEventType]
