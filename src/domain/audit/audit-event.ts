import * as z from 'zod'
import { artifactRefSchema, artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import { authnSchema, reasonSchema } from '../../kernel/ids.ts'
import {
  actionTypes,
  actorTypes,
  caseIdSchema,
  eventIdSchema,
  line,
  longLine,
  noteSchema,
  policyVersionsSchema,
  privilegedActions,
  runIdSchema,
  runStatuses,
  sha256Schema,
  shortLine,
  targetNameSchema,
  targetTypes,
  taxonomyVersionsSchema,
  utcSchema,
} from '../../kernel/vocabulary.ts'

const actor = z.strictObject({
  actor_id: line.min(3),
  actor_type: z.enum(actorTypes),
  agent_name: line.nullish(),
  authn: authnSchema.nullish(),
  on_behalf_of: line.nullish(),
  user_display: longLine.nullish(),
})

/** The target of an event. */
export const auditTargetSchema = z.strictObject({
  artifact_ref: artifactRefSchema.nullish(),
  name: targetNameSchema,
  operation: shortLine.nullish(),
  target_type: z.enum(targetTypes),
})

const authz = z.strictObject({
  decision: z.enum(['allow', 'deny']),
  policy_ref: longLine.nullish(),
  rule_id: longLine.nullish(),
  /** What the caller stated for the decision, such as a ticket, a sign-off or the reason of an export. */
  scope: z.array(z.strictObject({ key: z.string(), value: z.string() })).nullish(),
})

const error = z.strictObject({ error_code: shortLine, message: reasonSchema, retryable: z.boolean() })

/** The action types whose events always belong to a run. */
export const actionsOfRuns = [...privilegedActions, 'authz_decision'] as const

/** An audit event of Contract v1. Every entry can be rendered as one (Run Lifecycle, Contract v1, section 6). */
export const auditEventSchema = z
  .strictObject({
    action_type: z.enum(actionTypes),
    actor,
    authz: authz.nullish(),
    case_id: caseIdSchema.nullish(),
    contract_version: z.literal('v1'),
    correlation_id: line.nullish(),
    corrects: eventIdSchema.nullish(),
    decision_id: line.nullish(),
    duration_ms: z.int().min(0).nullish(),
    error: error.nullish(),
    event_id: eventIdSchema,
    input_artifacts: artifactRefsSchema.nullish(),
    lane_id: line.nullish(),
    notes: noteSchema.nullish(),
    outcome: z.enum(['allow', 'deny', 'success', 'failure']),
    outcome_reason: reasonSchema.max(200).nullish(),
    output_artifacts: artifactRefsSchema.nullish(),
    parent_run_id: runIdSchema.nullish(),
    policy_versions: policyVersionsSchema,
    request_hash_sha256: sha256Schema.nullish(),
    response_hash_sha256: sha256Schema.nullish(),
    role_id: line.nullish(),
    root_run_id: runIdSchema.nullish(),
    run_id: runIdSchema.nullish(),
    sequence: z.int().min(0),
    severity: z.enum(['info', 'warn', 'error', 'critical']).nullish(),
    /** True if the event says what a caller stated. The ledger did not check it. */
    stated: z.literal(true).optional(),
    target: auditTargetSchema.nullish(),
    taxonomy_versions: taxonomyVersionsSchema.nullish(),
    timestamp_utc: utcSchema,
    transition: z.strictObject({ from: z.enum(runStatuses).nullish(), to: z.enum(runStatuses) }).nullish(),
  })
  .refine(
    ({ action_type, run_id }) =>
      !(actionsOfRuns as readonly string[]).includes(action_type) || typeof run_id === 'string',
    { path: ['run_id'], message: 'is required for an event of a run' },
  )
export type AuditEvent = z.infer<typeof auditEventSchema>
