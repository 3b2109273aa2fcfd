import * as z from 'zod'
import type { Api } from '../../api/api.ts'
import type { DecidedAction, RecordAction } from '../../api/shapes/runs.ts'
import { actionSchema } from '../../domain/policy/action.ts'
import { mediators } from '../../domain/policy/checks.ts'
import { sharesKnowledge } from '../../domain/policy/effects.ts'
import type { RunEventData } from '../../domain/run/events.ts'
import type { RunRecord } from '../../domain/run/run-record.ts'
import { LockstepError, messageOf } from '../../errors.ts'
import { artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import { wellFormed } from '../../kernel/canonical.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { caseIdSchema, line, runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'
import { parse } from '../../writer/parse.ts'

type Calls = Pick<Api, 'runs'>

/** The scope's `run_id` is filled in with the id of the new run. */
const performSchema = z.strictObject({
  action: actionSchema,
  actor: actorSchema.optional(),
  case_id: caseIdSchema.optional(),
  correlation_id: line.optional(),
  lease_duration_s: z.int().min(1).optional(),
  parent_run_id: runIdSchema.optional(),
  request_hash_sha256: sha256Schema.optional(),
  role_id: line.optional(),
  run_id: runIdSchema.optional(),
})
export type PerformRequest = z.input<typeof performSchema>

/** Optional members of the work's result that are recorded with it. */
const producedSchema = z.object({
  output_artifacts: artifactRefsSchema.optional(),
  response_hash_sha256: sha256Schema.optional(),
})

export interface Performed<T> {
  decision: DecidedAction
  result: T
  run: RunRecord
}

/** A run whose one action is allowed but not yet recorded. */
export interface Begun {
  decision: DecidedAction
  run: RunRecord
}

/**
 * The first half of `perform`, for work in another process: creates, starts and authorizes the run of one action. The
 * caller records the outcome. Errors: RUN_DENIED, and the errors of these three calls.
 */
export async function begin({ runs }: Calls, request: PerformRequest): Promise<Begun> {
  const { action, actor, lease_duration_s, request_hash_sha256, ...asked } = parse(performSchema, request, 'action')
  const { run_id } = await runs.create({
    actor,
    ...asked,
    lane_id: action.lane_id,
    run_kind: mediators[action.action_type],
  })
  const run = await runs.start({ actor, run_id, lease_duration_s })
  const decision = await runs.authorize({ actor, run_id, action: { ...action, scope: { ...action.scope, run_id } } })
  if (decision.decision === 'allow') return { decision, run }
  throw deniedError({ ...decision, run_id })
}

/** RUN_DENIED, with the rules that denied the run. */
export function deniedError(
  denied: Pick<RunEventData<'run.denied'>, 'missing' | 'reason' | 'rule_ids' | 'run_id'>,
): LockstepError {
  const { missing, reason, rule_ids, run_id } = denied
  return new LockstepError('RUN_DENIED', `${run_id} is denied: ${reason}: ${rule_ids[0]}`, {
    details: { run_id, reason, rule_ids, missing },
    hint: `See "lockstep run why ${run_id}" and "lockstep policy show".`,
  })
}

/**
 * Runs a function as the one action of a new run. If the function throws, the run fails and the error is passed on.
 * Errors: INVALID_INPUT, the errors of `begin`, and the function's own.
 */
export async function perform<T>(
  ledger: Calls,
  request: PerformRequest,
  work: (decided: DecidedAction) => Promise<T> | T,
): Promise<Performed<T>> {
  if (typeof work !== 'function') throw new LockstepError('INVALID_INPUT', 'action: the work is not a function')
  const { decision, run } = await begin(ledger, request)
  const { actor, request_hash_sha256 } = request
  const { decision_id } = decision
  const of = { actor, run_id: run.run_id }
  let result: T
  try {
    result = await work(decision)
  } catch (error) {
    await failWith(ledger, { ...of, decision_id, request_hash_sha256 }, error)
    throw error
  }
  const produced = producedSchema.safeParse(result)
  const { output_artifacts, response_hash_sha256 } = produced.success ? produced.data : {}
  await ledger.runs.record({
    ...of,
    decision_id,
    outcome: 'success',
    // A write to shared knowledge names its artifacts. By default they are those that were authorized.
    output_artifacts: output_artifacts ?? (sharesKnowledge(request.action) ? request.action.artifacts : undefined),
    request_hash_sha256,
    response_hash_sha256,
  })
  return { decision, result, run: await ledger.runs.complete({ ...of, outcome_reason: 'performed' }) }
}

interface Failure {
  error_code: string
  message: string
  retryable: boolean
}

type OfAction = Omit<RecordAction, 'outcome'>

/** Records the failure of the work and fails its run. If the lane denies free text, only the error code is recorded. */
export async function failWith(ledger: Calls, of: OfAction, error: unknown): Promise<void> {
  const failure = { error_code: codeOf(error), message: textOf(error), retryable: isRetryable(error) }
  await recordFailure(ledger, of, failure).catch((refused: unknown) => {
    if (!(refused instanceof LockstepError) || refused.code !== 'FREE_TEXT_DENIED') throw refused
    return recordFailure(ledger, of, { ...failure, message: failure.error_code })
  })
}

async function recordFailure(
  { runs }: Calls,
  { decision_id, request_hash_sha256, ...of }: OfAction,
  error: Failure,
): Promise<void> {
  await runs.record({ ...of, decision_id, error, outcome: 'failure', request_hash_sha256 })
  await runs.fail({ ...of, error, outcome_reason: error.error_code })
}

function codeOf(error: unknown): string {
  return error instanceof LockstepError ? error.code : 'WORK_FAILED'
}

function isRetryable(error: unknown): boolean {
  return error instanceof LockstepError && error.retryable
}

/** Makes a foreign error message fit for an entry. */
function textOf(error: unknown): string {
  const text = wellFormed(messageOf(error).slice(0, 2_000))
    .replace(/[^\P{Cc}\n\r\t]/gu, ' ')
    .trim()
  return text === '' ? 'the work failed' : text
}
