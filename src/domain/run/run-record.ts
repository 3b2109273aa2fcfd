import * as z from 'zod'
import { artifactRefsSchema, locatorSchema } from '../../kernel/artifact-ref.ts'
import { freeText } from '../../kernel/free-text.ts'
import { authnSchema, lineOf, reasonSchema } from '../../kernel/ids.ts'
import {
  actorTypes,
  caseIdSchema,
  classificationSchema,
  eventIdsSchema,
  line,
  longLine,
  noteSchema,
  pairsSchema,
  policyVersionsSchema,
  runIdSchema,
  runKinds,
  runStatuses,
  sha256Schema,
  shortLine,
  taxonomyVersionsSchema,
  utcSchema,
} from '../../kernel/vocabulary.ts'

export const runTagSchema = lineOf(60)

const actor = z.strictObject({
  actor_id: line,
  actor_type: z.enum(actorTypes),
  authn: authnSchema.nullish(),
  lane_id: line.nullish(),
  on_behalf_of: line.nullish(),
  role_id: line.nullish(),
})

export const runErrorSchema = z.strictObject({
  error_code: shortLine,
  message: freeText(reasonSchema),
  retryable: z.boolean(),
  stack_ref: locatorSchema.nullish(),
})

const nondeterminism = z.strictObject({
  is_nondeterministic: z.boolean(),
  reasons: z.array(freeText(longLine.clone())).max(20).nullish(),
  replay_strategy: z.enum(['record_and_replay', 'best_effort', 'not_replayable']).nullish(),
})

/** The source of a pin, and the SHA-256 of the file's content without byte order mark and with LF line endings. */
export const pinEvidenceSchema = z.strictObject({
  sha256: sha256Schema,
  source: z.enum(['git-commit', 'git-blob', 'caller']),
})

const metadata = z.strictObject({
  retry_count: z.int().min(1).nullish(),
  retry_of: runIdSchema.nullish(),
  retry_reason: freeText(reasonSchema).nullish(),
})

/**
 * The manifest of a run: its pins, its inputs and outputs, and how it ended (Run Lifecycle, Contract v1, section 1.2).
 */
export const runRecordSchema = z.strictObject({
  actor: actor.nullish(),
  audit: z.strictObject({ audit_event_ids: eventIdsSchema }).nullish(),
  case_id: caseIdSchema.nullish(),
  client_session_id: line.nullish(),
  completed_at_utc: utcSchema.nullish(),
  contract_version: z.literal('v1'),
  correlation_id: line.nullish(),
  created_at_utc: utcSchema,
  data_classification: classificationSchema.nullish(),
  duration_ms: z.int().min(0).nullish(),
  error: runErrorSchema.nullish(),
  inputs: z
    .strictObject({ artifact_refs: artifactRefsSchema, parameters_hash_sha256: sha256Schema.nullish() })
    .nullish(),
  last_promoted_turn_id: line.nullish(),
  lease: z.strictObject({ expires_at_utc: utcSchema, lease_duration_s: z.int().min(1) }).nullish(),
  matter_id: line.nullish(),
  metadata: metadata.nullish(),
  nondeterminism: nondeterminism.nullish(),
  notes: freeText(noteSchema).nullish(),
  outcome: reasonSchema.max(200).nullish(),
  outputs: z.strictObject({ artifact_refs: artifactRefsSchema }).nullish(),
  parent_run_id: runIdSchema.nullish(),
  phase: line.nullish(),
  pin_evidence: z.strictObject({ lanes: pinEvidenceSchema.nullish(), roles: pinEvidenceSchema.nullish() }).nullish(),
  policy_versions: policyVersionsSchema,
  root_run_id: runIdSchema.nullish(),
  run_id: runIdSchema,
  run_kind: z.enum(runKinds),
  run_name: freeText(longLine.clone()).nullish(),
  started_at_utc: utcSchema.nullish(),
  status: z.enum(runStatuses),
  tags: z.array(runTagSchema).max(50).nullish(),
  taxonomy_versions: taxonomyVersionsSchema.nullish(),
  tool_versions: pairsSchema.nullish(),
  workflow_id: line.nullish(),
  workflow_state: line.nullish(),
})
export type RunRecord = z.infer<typeof runRecordSchema>
