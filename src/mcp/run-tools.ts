import * as z from 'zod'
import * as shapes from '../api/shapes/runs.ts'
import type { RunRecord } from '../domain/run/run-record.ts'
import { LockstepError } from '../errors.ts'
import { given } from '../kernel/given.ts'
import { runKinds } from '../kernel/vocabulary.ts'
import { appends, appendsOnce, ends, reads, type Tool, textsOf, tool, untrustedTexts } from './tool.ts'

const { cancel, create, decided, record, start, why } = shapes
const { run_id } = shapes.ofRun.shape
const key = create.shape.idempotency_key

/** Documents that the ledger checks member by member. A model needs to see only that they are objects. */
const references = z.array(z.looseObject({})).optional().describe('References with hashes, no content.')

const view = z.strictObject({
  run_id: z.string(),
  status: z.string(),
  lane_id: z.string().nullable(),
  created_at: z.string(),
  ended_at: z.string().nullable(),
  untrusted: untrustedTexts,
})

/** A run as models see it. */
function viewOf(run: RunRecord): z.output<typeof view> {
  const { actor, completed_at_utc = null, created_at_utc, notes, outcome, run_name } = run
  return {
    run_id: run.run_id,
    status: run.status,
    lane_id: actor?.lane_id ?? null,
    created_at: created_at_utc,
    ended_at: completed_at_utc,
    untrusted: textsOf({ actor: actor?.actor_id, error: run.error?.message, notes, outcome, run_name }),
  }
}

const startTool = tool({
  name: 'run_start',
  about: 'Creates and starts a run: one task, whose actions the policy decides and the ledger records.',
  annotations: appends,
  input: z.strictObject({
    run_kind: z.enum(runKinds).default('agent').describe('tool_gateway for calls of tools.'),
    run_name: create.shape.run_name,
    lane_id: create.shape.lane_id.describe('The lane of the policy.'),
    role_id: create.shape.role_id,
    case_id: create.shape.case_id,
    parent_run_id: create.shape.parent_run_id,
    lock: start.shape.lock.describe('A lock of yours, without which the run cannot act.'),
    idempotency_key: key,
  }),
  output: view,
  run: async ({ api, pids }, { idempotency_key, lock, ...input }) => {
    const { run_id } = await api.runs.create({
      ...given(input),
      run_kind: input.run_kind,
      ...given({ idempotency_key }),
    })
    const startKey = idempotency_key && `${idempotency_key}/start`
    const processes = pids.length === 0 ? {} : { pids }
    return viewOf(await api.runs.start({ run_id, ...processes, ...given({ idempotency_key: startKey, lock }) }))
  },
})

const finishTool = tool({
  name: 'run_finish',
  about: 'Ends a run of yours once. Record every allowed action first.',
  annotations: ends,
  input: z.strictObject({
    run_id,
    result: z.enum(['completed', 'failed', 'cancelled']),
    reason: cancel.shape.outcome_reason.describe('How it ended, in one sentence.'),
    retryable: z.boolean().default(false).describe('Whether a failed run may be retried.'),
    release_lock: z.boolean().default(false).describe('Releases the lock of a completed run too.'),
    idempotency_key: key,
  }),
  output: view,
  run: async ({ api }, { reason, release_lock, result, retryable, ...input }) => {
    if ((retryable && result !== 'failed') || (release_lock && result !== 'completed')) {
      const message = 'run_finish: retryable is for a failed run, and release_lock for a completed one'
      throw new LockstepError('INVALID_INPUT', message)
    }
    const { idempotency_key, run_id } = input
    const ending = { run_id, outcome_reason: reason, ...given({ idempotency_key }) }
    if (result === 'cancelled') return viewOf(await api.runs.cancel(ending))
    if (result === 'completed') {
      return viewOf(await api.runs.complete({ ...ending, release_lock }))
    }
    const error = { error_code: 'AGENT_FAILED', message: reason, retryable }
    return viewOf(await api.runs.fail({ ...ending, error }))
  },
})

export const showTool = tool({
  name: 'run_show',
  about: 'Shows a run: its state, why it was denied, what must still be recorded, and where it can go from here.',
  annotations: reads,
  input: z.strictObject({ run_id }),
  output: view.extend({
    moves: why.shape.moves,
    missing_events: why.shape.missing_events,
    denied: z.looseObject({}).nullable(),
    lock: z.looseObject({}).nullable(),
  }),
  run: async ({ api }, { run_id }) => {
    const [run, reasons] = await Promise.all([api.runs.get({ run_id }), api.runs.why({ run_id })])
    const { denied, lock, missing_events, moves } = reasons
    return { ...viewOf(run), moves, missing_events, denied, lock }
  },
})

const action = shapes.authorize.shape.action.omit({ artifacts: true, bundle: true, command: true })

const authorizeTool = tool({
  name: 'action_authorize',
  about: 'Asks the policy before an action. Act only after allow, then call action_record. A deny ends the run.',
  annotations: appends,
  input: z.strictObject({
    run_id,
    action: action.extend({
      scope: z.looseObject({}).default({}).describe('Facts that the lane asks for, such as run_id, and audit: true.'),
    }),
    idempotency_key: key,
  }),
  output: decided.omit({ pins: true, replayed: true }),
  run: async ({ api }, input) => {
    const { decision, decision_id, missing, reason, rule_ids } = await api.runs.authorize(
      input as shapes.AuthorizeAction,
    )
    return { decision, decision_id, missing, reason, rule_ids }
  },
})

const recordTool = tool({
  name: 'action_record',
  about: 'Records the outcome of an allowed action, once, right after it was done.',
  annotations: appendsOnce,
  input: z.strictObject({
    run_id,
    decision_id: record.shape.decision_id.describe('From action_authorize.'),
    outcome: record.shape.outcome,
    outcome_reason: record.shape.outcome_reason,
    error: record.shape.error,
    output_artifacts: references,
    idempotency_key: key,
  }),
  output: view.pick({ run_id: true, status: true }),
  run: async ({ api }, input) => {
    const { run_id, status } = await api.runs.record(input as shapes.RecordAction)
    return { run_id, status }
  },
})

/** The tools for runs and their actions. */
export const runTools: readonly Tool[] = [startTool, finishTool, showTool, authorizeTool, recordTool]
