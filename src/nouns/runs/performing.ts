import * as z from 'zod'
import type { Api } from '../../api/api.ts'
import type { CompleteRun, CreateRun, DecidedAction, RecordAction } from '../../api/shapes/runs.ts'
import { actionSchema } from '../../domain/policy/action.ts'
import { mediators } from '../../domain/policy/checks.ts'
import { sharesKnowledge } from '../../domain/policy/effects.ts'
import { startRunSchema } from '../../domain/run/commands.ts'
import type { RunEventData } from '../../domain/run/events.ts'
import type { RunRecord } from '../../domain/run/run-record.ts'
import { LockstepError, messageOf } from '../../errors.ts'
import { artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import { wellFormed } from '../../kernel/canonical.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { caseIdSchema, line, runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'
import { parse } from '../../writer/parse.ts'

type Calls = Pick<Api, 'runs'>

/** In the scope, `run_id` is the id of the new run, and `case_id` is by default its case, which it can inherit. */
const performSchema = z.strictObject({
  action: actionSchema,
  actor: actorSchema.optional(),
  case_id: caseIdSchema.optional(),
  correlation_id: line.optional(),
  lease_duration_s: z.int().min(1).optional(),
  parent_run_id: runIdSchema.optional(),
  /** The processes that do the work. By default this process, unless the ledger may be on another machine. */
  pids: startRunSchema.shape.pids,
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
 * The first half of `perform`, for callers that record the outcome themselves: creates, starts and authorizes the run of
 * one action. Errors: RUN_DENIED, and the errors of these three calls.
 */
export async function begin(ledger: Calls, request: PerformRequest): Promise<Begun> {
  return authorizeIn(ledger, await createFor(ledger, request), request)
}

/** Creates the run of one action. With a key, a repeated request gets the run that the first one created. */
export async function createFor(
  { runs }: Calls,
  request: PerformRequest,
  more: Pick<CreateRun, 'idempotency_key' | 'inputs'> = {},
): Promise<RunRecord> {
  const parsed = parse(performSchema, request, 'action')
  const { action, lease_duration_s, pids, request_hash_sha256, ...asked } = parsed
  return runs.create({ ...asked, ...more, lane_id: action.lane_id, run_kind: mediators[action.action_type] })
}

/** Starts the created run of an action and authorizes the action. */
export async function authorizeIn(
  ledger: Calls,
  { case_id, run_id }: RunRecord,
  request: PerformRequest,
): Promise<Begun> {
  const { runs } = ledger
  const { action, actor, lease_duration_s, pids = 'dir' in ledger ? [process.pid] : undefined } = request
  const run = await runs.start({ actor, run_id, lease_duration_s, pids })
  const scope = { ...(case_id ? { case_id } : {}), ...action.scope, run_id }
  const decision = await runs.authorize({ actor, run_id, action: { ...action, scope } })
  if (decision.decision === 'allow') return { decision, run }
  throw deniedError({ ...decision, run_id })
}

/**
 * Completes a run whose action is recorded. If a run above it ended in the meantime, the run fails instead. Errors:
 * RUN_ANCESTOR_ENDED, and those of `runs.complete`.
 */
export async function completeIn({ runs }: Calls, of: CompleteRun): Promise<RunRecord> {
  try {
    return await runs.complete(of)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    // The call found that the lease of a run above is over. The next call is refused for that run.
    if (error.code === 'RUN_LEASE_EXPIRED' && error.details.run_id !== of.run_id) return await completeIn({ runs }, of)
    if (error.code !== 'RUN_ANCESTOR_ENDED') throw error
    const { actor, run_id } = of
    const failure = { error_code: error.code, message: error.code, retryable: false }
    await runs.fail({ actor, run_id, error: failure, outcome_reason: error.code })
    throw error
  }
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
 * Errors: INVALID_INPUT, the errors of `begin`, the function's own, and RUN_ANCESTOR_ENDED.
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
  return { decision, result, run: await completeIn(ledger, { ...of, outcome_reason: 'performed' }) }
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

/**
 * Makes a foreign error message fit for an entry. It is never a single word, so that a lane that prohibits raw case
 * text refuses it whatever it says.
 */
function textOf(error: unknown): string {
  const text = wellFormed(messageOf(error).slice(0, 1_900))
    .replace(/[^\P{Cc}\n\r\t]/gu, ' ')
    .trim()
  return text === '' ? 'the work failed' : `the work failed: ${text}`
}
