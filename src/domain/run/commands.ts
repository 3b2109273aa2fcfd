import * as z from 'zod'
import { artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import type { Command } from '../../kernel/decider.ts'
import { type Actor, actorSchema, reasonSchema, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import {
  caseIdSchema,
  line,
  privilegedActions,
  runIdSchema,
  runKinds,
  runStatuses,
  sha256Schema,
  taxonomyVersionsSchema,
  utcSchema,
} from '../../kernel/vocabulary.ts'
import type { Evidence, Liveness } from '../lock/liveness.ts'
import { lockNameSchema } from '../lock/names.ts'
import { actionSchema } from '../policy/action.ts'
import type { Policies } from '../policy/state.ts'
import { manifestSchema } from './events.ts'
import { runErrorSchema } from './run-record.ts'

// The input of commands, parsed once at the boundary of the API.

const asked = { actor: actorSchema.optional(), idempotency_key: requestKeySchema.optional() }
const ofRun = { ...asked, run_id: runIdSchema }
const outcomeReason = reasonSchema.max(200)

/** `write_broker` is accepted as another name for db_write, only on input. */
const runKindSchema = z.union([z.enum(runKinds), z.literal('write_broker').transform(() => 'db_write' as const)])

/** The phase of a run follows from its events, so no caller can state it. */
export const createRunSchema = manifestSchema.omit({ phase: true }).extend({
  ...asked,
  case_id: caseIdSchema.optional(),
  correlation_id: line.optional(),
  lane_id: line.optional(),
  parent_run_id: runIdSchema.optional(),
  role_id: line.optional(),
  root_run_id: runIdSchema.optional(),
  /** Who will act in the run, if it is not the actor who creates it. */
  run_actor: actorSchema.optional(),
  run_id: runIdSchema.optional(),
  run_kind: runKindSchema,
})

/** Versions from a caller are not trusted. A malformed pin is accepted here, so that the decision can deny the run. */
const brought = z.string().max(200).nullish()

export const startRunSchema = z.strictObject({
  ...ofRun,
  contract_version: brought,
  lease_duration_s: z.int().min(1).max(limits.resourceLeaseSecondsMax).optional(),
  /** A lock that the run's actor holds, or the project lock of the run. The run can act while that grant is current. */
  lock: lockNameSchema.optional(),
  /** The processes that do the work of the run. */
  pids: z.array(z.int32().min(1)).min(1).max(limits.evidenceMax).optional(),
  policy_versions: z.strictObject({ lanes: brought, roles: brought }).optional(),
  taxonomy_versions: taxonomyVersionsSchema.optional(),
})

export const recoverRunSchema = z.strictObject({ ...ofRun, reason: reasonSchema })
export const heartbeatSchema = z.strictObject(ofRun)
export const authorizeSchema = z.strictObject({ ...ofRun, action: actionSchema })

export const recordActionSchema = z.strictObject({
  ...ofRun,
  /** What was done, if the caller states it. It must match what was allowed. */
  action_type: z.enum(privilegedActions).optional(),
  decision_id: line,
  error: runErrorSchema.omit({ stack_ref: true }).optional(),
  outcome: z.enum(['failure', 'success']),
  outcome_reason: outcomeReason.optional(),
  output_artifacts: artifactRefsSchema.optional(),
  request_hash_sha256: sha256Schema.optional(),
  response_hash_sha256: sha256Schema.optional(),
  target: actionSchema.shape.target.optional(),
})

const ending = { ...ofRun, outcome_reason: outcomeReason }

export const completeRunSchema = z.strictObject({
  ...ending,
  /** Reject a staged or validated turn, instead of refusing to complete the run. */
  discard_turn: z.boolean().optional(),
  output_artifacts: artifactRefsSchema.optional(),
  release_lock: z.boolean().default(false),
})
export const failRunSchema = z.strictObject({
  ...ending,
  error: runErrorSchema,
  output_artifacts: artifactRefsSchema.optional(),
})
export const denyRunSchema = z.strictObject(ending)
/** The recorded reason begins with `cancelled: `. */
export const cancelRunSchema = z.strictObject({ ...ofRun, outcome_reason: reasonSchema.max(189) })
export const retryRunSchema = z.strictObject({
  ...ofRun,
  new_run_id: runIdSchema.optional(),
  retry_reason: reasonSchema,
})
export const listRunsSchema = z.strictObject({
  actor_id: line.optional(),
  case_id: caseIdSchema.optional(),
  cursor: runIdSchema.optional(),
  lane_id: line.optional(),
  limit: z.int().min(1).max(limits.runListMax).default(100),
  /** Only running runs whose processes are dead or whose lease is over. */
  orphans: z.boolean().default(false),
  run_kind: runKindSchema.optional(),
  since: utcSchema.optional(),
  status: z.enum(runStatuses).optional(),
  until: utcSchema.optional(),
})

// The input of decisions: the intent, the new ids for it, and the policies that this process has read.

type Parsed<Schema extends z.ZodType> = Omit<z.output<Schema>, 'actor' | 'idempotency_key'>
type Of<Type extends string, Schema extends z.ZodType> = Command & Parsed<Schema> & { type: Type; policies: Policies }

export type CreateRun = Of<'run.create', typeof createRunSchema> & { run_id: string; run_actor: Actor }
/** Has the evidence of the processes that the caller names. */
export type StartRun = Omit<Of<'run.start', typeof startRunSchema>, 'pids'> & { processes?: Evidence[] | undefined }
export type Heartbeat = Of<'run.heartbeat', typeof heartbeatSchema>
export type AuthorizeAction = Of<'run.authorize', typeof authorizeSchema>
/** Has the record of a bundle if the action exported one. The record is an object that the entry names. */
export type RecordAction = Of<'run.record', typeof recordActionSchema> & {
  bundle_record?: { digest: string; text: string } | undefined
}
export type CompleteRun = Of<'run.complete', typeof completeRunSchema>
export type FailRun = Of<'run.fail', typeof failRunSchema>
export type DenyRun = Of<'run.deny', typeof denyRunSchema>
/** With `tree` the run may have ended: then only the runs below it are left to cancel. */
export type CancelRun = Of<'run.cancel', typeof cancelRunSchema> & { tree?: boolean }
/** Cancels some of the runs below an ended run. `runs.cancelTree` asks for this until none is left. */
export interface CancelBelow extends Command {
  policies: Policies
  run_id: string
  run_ids: readonly string[]
  type: 'run.cancel_below'
}
export type RetryRun = Of<'run.retry', typeof retryRunSchema> & { new_run_id: string }
/** Has the verdict of a probe on the recorded processes of the run. A dead process stays dead. */
export type RecoverRun = Of<'run.recover', typeof recoverRunSchema> & { liveness: Liveness }
/** Creates the run of one action, starts it and authorizes the action. No caller can ask for this: hooks do. */
export interface BeginAction extends Command {
  authorize: AuthorizeAction
  create: CreateRun
  policies: Policies
  run_id: string
  start: StartRun
  type: 'run.begin'
}
/** The ledger itself fails a run whose lease has expired. No caller can ask for this. */
export interface ExpireRun extends Command {
  run_id: string
  type: 'run.expire'
}

export type RunCommand =
  | BeginAction
  | CreateRun
  | StartRun
  | Heartbeat
  | AuthorizeAction
  | RecordAction
  | CompleteRun
  | FailRun
  | DenyRun
  | CancelRun
  | CancelBelow
  | RecoverRun
  | RetryRun
  | ExpireRun
