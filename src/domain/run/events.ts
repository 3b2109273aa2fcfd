import * as z from 'zod'
import { artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import { leaseClockSchema } from '../../kernel/clock.ts'
import { freeText } from '../../kernel/free-text.ts'
import { actorSchema, reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import {
  caseIdSchema,
  line,
  privilegedActions,
  runIdSchema,
  runKinds,
  runStatuses,
  sha256Schema,
  shortLine,
  targetNameSchema,
  targetTypes,
  taxonomyVersionsSchema,
} from '../../kernel/vocabulary.ts'
import { recordedAskedSchema } from '../approval/exported.ts'
import { evidenceSchema } from '../lock/liveness.ts'
import { actionSchema } from '../policy/action.ts'
import { pinEvidenceSchema, runErrorSchema, runRecordSchema } from './run-record.ts'

const time = z.iso.datetime({ precision: 3 })
const hostId = z.string().max(128)
const rules = z.array(z.string().max(400)).max(1_000)
const outcomeReason = freeText(reasonSchema.max(200))
const { shape } = runRecordSchema

/** The type of the target of an action or a start in audit events. */
const target = z.strictObject({
  name: targetNameSchema,
  operation: shortLine,
  target_type: z.enum(targetTypes),
})

/** A pin, its source, and the SHA-256 of the content that it stands for. */
const pin = pinEvidenceSchema.extend({ pin: z.string().max(64) })
const pins = z.strictObject({ lanes: pin, roles: pin })
export type Pins = z.infer<typeof pins>

const leaseSchema = z.strictObject({ expires_at: time, lease_duration_s: z.int().min(1) })

/** The caller's facts about a new run, without those that every entry of the run has. */
export const manifestSchema = z.strictObject({
  client_session_id: shape.client_session_id,
  data_classification: shape.data_classification,
  inputs: shape.inputs,
  matter_id: shape.matter_id,
  nondeterminism: shape.nondeterminism,
  notes: shape.notes,
  /** Recorded by earlier versions, and never shown: the phase follows from the events. */
  phase: shape.phase,
  run_name: shape.run_name,
  tags: shape.tags,
  tool_versions: shape.tool_versions,
  workflow_id: shape.workflow_id,
  workflow_state: shape.workflow_state,
})

const created = manifestSchema.extend({
  actor: actorSchema,
  metadata: shape.metadata,
  pins: pins.nullable(),
  run_id: runIdSchema,
  run_kind: z.enum(runKinds),
})

const commandText = freeText(z.string())
const decidedCommandSchema = z.strictObject({
  /** The JSON text of the argv. */
  argv: commandText.optional(),
  argv_sha256: sha256Schema,
  found: commandText.optional(),
  real: commandText.optional(),
})

/** A decision on the start of a run or on an action in it; its event_id is the decision_id. */
const decided = z.strictObject({
  artifacts: actionSchema.shape.artifacts,
  /** What the tool call runs. Only the digest, unless the lane allows raw text. */
  command: decidedCommandSchema.optional(),
  /** What an export would hand out, and the approvals that it named. */
  bundle: recordedAskedSchema.optional(),
  /** The configuration that the decision was made under. Ledgers of older versions had none in force. */
  config_sha256: sha256Schema.optional(),
  decision: z.enum(['allow', 'deny']),
  effects: actionSchema.shape.effects,
  missing: rules,
  /** `outputs` stands for the outputs of a run that ends, and `start` also for its creation. */
  on: z.enum(['start', 'outputs', ...privilegedActions]),
  reason: z
    .enum(['not_permitted', 'forbidden', 'missing_scope', 'missing_pin', 'unmediated', 'drift', 'error'])
    .nullable(),
  rule_ids: rules,
  run_id: runIdSchema,
  /** What the caller stated, each value as text. */
  scope: z.array(z.strictObject({ key: z.string(), value: freeText(z.string()) })).optional(),
  target,
})

const started = z.strictObject({
  host_id: hostId,
  lease: leaseSchema.nullable(),
  lease_clock: leaseClockSchema,
  lock: z.strictObject({ name: z.string(), token: z.int().min(0) }).nullable(),
  pins,
  /** The processes that do the work, as locks record the processes of their holders. */
  processes: z.array(evidenceSchema).min(1).max(limits.evidenceMax).optional(),
  run_id: runIdSchema,
  taxonomy_versions: taxonomyVersionsSchema.optional(),
  /** The lane of the run, in the policy of its pins, wants a decision for each promotion of a turn. */
  turns_require_decision: z.literal(true).optional(),
})

const renewed = z.strictObject({
  expires_at: time,
  host_id: hostId,
  lease_clock: leaseClockSchema,
  run_id: runIdSchema,
})

/** The outcome of an allowed action. Each decision has one such event. */
const acted = z.strictObject({
  action_type: z.enum(privilegedActions),
  decision_id: line,
  error: runErrorSchema.omit({ stack_ref: true }).optional(),
  outcome: z.enum(['failure', 'success']),
  outcome_reason: outcomeReason.optional(),
  output_artifacts: artifactRefsSchema.optional(),
  /** The record of the bundle that the action exported, as an object of the ledger. */
  record_digest: sha256Schema.optional(),
  request_hash_sha256: sha256Schema.optional(),
  response_hash_sha256: sha256Schema.optional(),
  run_id: runIdSchema,
  /** The action wrote to shared knowledge, and its outputs are what it wrote. */
  shares: z.literal(true).optional(),
  target,
})

/** An end: why the run ended, and how long it was running; null if it never was. */
const duration = z.int().min(0)
const ended = {
  duration_ms: duration.nullable(),
  outcome_reason: outcomeReason,
  run_id: runIdSchema,
}
const outputs = artifactRefsSchema.optional()

const completed = z.strictObject({
  duration_ms: duration,
  outcome_reason: ended.outcome_reason,
  output_artifacts: outputs,
  run_id: ended.run_id,
})
/** The recovery of a run whose processes are dead: the verdict, its evidence, and the reason of the caller. */
const recovery = z.strictObject({
  processes: z.array(evidenceSchema).min(1).max(limits.evidenceMax),
  reason: freeText(reasonSchema),
  recovery_reason: z.enum(['host_rebooted', 'pid_dead']),
})
const failed = z.strictObject({
  /**
   * True if the ledger failed the run because its lease had expired. The entry's actor only made the call that found
   * this.
   */
  by: z.literal('ledger').optional(),
  duration_ms: duration,
  error: runErrorSchema,
  outcome_reason: ended.outcome_reason,
  output_artifacts: outputs,
  recovery: recovery.optional(),
  run_id: ended.run_id,
})
const denied = z.strictObject({
  duration_ms: ended.duration_ms,
  missing: rules,
  outcome_reason: ended.outcome_reason,
  reason: decided.shape.reason,
  rule_ids: rules,
  run_id: ended.run_id,
})
const cancelled = z.strictObject(ended)

/** A recorded refusal. `move` is the move that was requested and is not allowed. */
const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
  move: z.strictObject({ from: z.enum(runStatuses), to: z.enum(runStatuses) }).optional(),
  /** The run_id. If `repeats` is added, it must stay the last member. */
  name: runIdSchema,
  repeats: z.int().min(1).optional(),
})

/** The attempt `run_id` failed and is retried, once, as `new_run_id`. This event belongs to neither run. */
const retried = z.strictObject({
  new_run_id: runIdSchema,
  retry_count: z.int().min(1),
  run_id: runIdSchema,
})

/** A workflow belongs to the case of its first run, or to none. This event belongs to no run. */
const claimed = z.strictObject({
  case_id: caseIdSchema.optional(),
  run_id: runIdSchema,
  workflow_id: line,
})

/** From this start on, each promotion in the workflow needs a decision, because the lane of the run demands it. */
const governed = z.strictObject({
  run_id: runIdSchema,
  workflow_id: line,
})

/** Every event of a run, by type. */
export const runEventSchemas = {
  'run.created': created,
  'run.decided': decided,
  'run.started': started,
  'run.renewed': renewed,
  'run.acted': acted,
  'run.completed': completed,
  'run.failed': failed,
  'run.denied': denied,
  'run.cancelled': cancelled,
  'run.refused': refused,
  'run.retried': retried,
  'workflow.claimed': claimed,
  'workflow.governed': governed,
} as const

export type RunEventType = keyof typeof runEventSchemas
export type RunEventData<Type extends RunEventType> = z.infer<(typeof runEventSchemas)[Type]>
