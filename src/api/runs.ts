import type { RunRecord } from '../domain/run/run-record.ts'
import type { Code } from '../errors.ts'
import { anyGrant, type CallOptions, type Operations, type TokenGrant } from './operation.ts'
import * as shapes from './shapes/runs.ts'

/**
 * Runs: the actions that an agent may take, and the actions that it took. Commands take an `idempotency_key`: a
 * repeated call with the same key and content gets the earlier answer and costs no append. Every other command costs
 * one append.
 */
export interface RunsApi {
  /** Creates a run, below `parent_run_id` if that is given. */
  create(input: shapes.CreateRun, options?: CallOptions): Promise<RunRecord>
  /** Pins a run to the policy in force and moves it to running. */
  start(input: shapes.StartRun, options?: CallOptions): Promise<RunRecord>
  /** Ends a run whose processes are all dead. Anyone may. A run with a lease ends with its lease instead. */
  recover(input: shapes.RecoverRun, options?: CallOptions): Promise<RunRecord>
  /** Renews the lease of a run. */
  heartbeat(input: shapes.Heartbeat, options?: CallOptions): Promise<RunRecord>
  /** Decides about an action before it is done. A deny is an answer, not an error; it moves the run to denied. */
  authorize(input: shapes.AuthorizeAction, options?: CallOptions): Promise<shapes.DecidedAction>
  /** Records the outcome of an allowed action, once. */
  record(input: shapes.RecordAction, options?: CallOptions): Promise<RunRecord>
  /** Completes a run that succeeded. With `release_lock` its lock is released in the same append. */
  complete(input: shapes.CompleteRun, options?: CallOptions): Promise<RunRecord>
  /** Ends a run that failed. */
  fail(input: shapes.FailRun, options?: CallOptions): Promise<RunRecord>
  /** Ends a run that must not continue. */
  deny(input: shapes.DenyRun, options?: CallOptions): Promise<RunRecord>
  /** Ends a run that is no longer needed. */
  cancel(input: shapes.CancelRun, options?: CallOptions): Promise<RunRecord>
  /**
   * Ends a run and every run below it: the run first, so that no work can be added below it, and then the others, some
   * at a time. It can be repeated, also for a run that has ended in another way. Cost: one read per run of the tree, and
   * one append per 256 runs that it ends.
   */
  cancelTree(input: shapes.CancelRun, options?: CallOptions): Promise<shapes.CancelledTree>
  /** Creates a new run in place of a failed run, and returns the new run. */
  retry(input: shapes.RetryRun, options?: CallOptions): Promise<RunRecord>
  /** The record of a run. */
  get(input: shapes.OfRun, options?: CallOptions): Promise<RunRecord>
  /** Runs in the order of their creation, one page at a time. Cost: one read for each run of the page. */
  list(input?: shapes.ListRuns, options?: CallOptions): Promise<shapes.RunList>
  /** A run and all runs below it. Cost: one read for each run of the whole tree. */
  tree(input: shapes.OfRun, options?: CallOptions): Promise<shapes.RunTree>
  /** The state of a run and the reasons for it: last event, open actions, rules that denied it, possible moves. */
  why(input: shapes.OfRun, options?: CallOptions): Promise<shapes.RunReasons>
}

const onRun = ['NOT_FOUND', 'NOT_RUN_ACTOR', 'RUN_LEASE_EXPIRED', 'IDEMPOTENCY_MISMATCH'] as const
const onLock = ['STALE_TOKEN', 'LEASE_EXPIRED'] as const
/** Of recording the outcome of an allowed action, which an audit event can do as well. */
export const recordErrors: readonly Code[] = [
  ...onRun,
  'RUN_NOT_ACTIVE',
  'DECISION_NOT_OPEN',
  'BUNDLE_NOT_RECORDED',
  'PROMOTION_NOT_RECORDED',
  'OUTPUTS_DENIED',
  'FREE_TEXT_DENIED',
  'RUN_DENIED',
  ...onLock,
]
/** Operators may act on the runs of others. */
const ofRuns: readonly TokenGrant[] = ['agent', 'operator']

const ending = {
  kind: 'command',
  output: shapes.run,
  grants: ofRuns,
} as const
const endingErrors = [...onRun, 'INVALID_STATE_TRANSITION', 'FREE_TEXT_DENIED'] as const

export const runs: Operations<RunsApi> = {
  create: {
    kind: 'command',
    summary: 'Creates a run.',
    input: shapes.create,
    output: shapes.run,
    errors: [...onRun, 'INVALID_STATE_TRANSITION', 'RUN_ANCESTOR_ENDED', 'RUN_DENIED', 'FREE_TEXT_DENIED'],
    grants: ofRuns,
  },
  start: {
    kind: 'command',
    summary: 'Starts a run under the policy in force.',
    input: shapes.start,
    output: shapes.run,
    errors: [
      ...onRun,
      'INVALID_STATE_TRANSITION',
      'RUN_ANCESTOR_ENDED',
      'PID_NOT_FOUND',
      'LOCK_NOT_HELD',
      'RUN_DENIED',
      'FREE_TEXT_DENIED',
    ],
    grants: ofRuns,
  },
  recover: {
    kind: 'command',
    summary: 'Ends a run whose processes are dead.',
    input: shapes.recover,
    output: shapes.run,
    errors: ['NOT_FOUND', 'RUN_NOT_ACTIVE', 'RUN_NOT_ORPHAN', 'FREE_TEXT_DENIED', 'IDEMPOTENCY_MISMATCH'],
    grants: ofRuns,
  },
  heartbeat: {
    kind: 'command',
    summary: 'Renews the lease of a run.',
    input: shapes.heartbeat,
    output: shapes.run,
    errors: [...onRun, 'RUN_NOT_ACTIVE', 'RUN_ANCESTOR_ENDED', 'FREE_TEXT_DENIED'],
    grants: ofRuns,
  },
  authorize: {
    kind: 'command',
    summary: 'Decides about an action before it is done.',
    input: shapes.authorize,
    output: shapes.decided,
    errors: [...onRun, 'RUN_NOT_ACTIVE', 'RUN_ANCESTOR_ENDED', 'FREE_TEXT_DENIED'],
    grants: ofRuns,
  },
  record: {
    kind: 'command',
    summary: 'Records the outcome of an allowed action.',
    input: shapes.record,
    output: shapes.run,
    errors: recordErrors,
    grants: ofRuns,
  },
  complete: {
    kind: 'command',
    summary: 'Completes a run that succeeded.',
    input: shapes.complete,
    output: shapes.run,
    errors: [
      ...endingErrors,
      'RUN_ANCESTOR_ENDED',
      'RUN_HAS_OPEN_ACTION',
      'RUN_HAS_OPEN_TURN',
      'BUNDLE_NOT_RECORDED',
      'PROMOTION_NOT_RECORDED',
      'RELEASE_DENIED',
      'RELEASE_CONDITION_UNMET',
      'RUN_DENIED',
      ...onLock,
    ],
    grants: anyGrant,
    mayReleaseProject: ({ release_lock }) => release_lock === true,
  },
  fail: {
    ...ending,
    summary: 'Ends a run that failed.',
    input: shapes.fail,
    errors: [...endingErrors, 'BUNDLE_NOT_RECORDED', 'PROMOTION_NOT_RECORDED', 'OUTPUTS_DENIED', 'RUN_DENIED'],
  },
  deny: { ...ending, summary: 'Ends a run that must not continue.', input: shapes.deny, errors: endingErrors },
  cancel: { ...ending, summary: 'Ends a run that is no longer needed.', input: shapes.cancel, errors: endingErrors },
  cancelTree: {
    ...ending,
    summary: 'Ends a run and every run below it.',
    input: shapes.cancel,
    output: shapes.cancelledTree,
    errors: ['NOT_FOUND', 'NOT_RUN_ACTOR', 'FREE_TEXT_DENIED', 'IDEMPOTENCY_MISMATCH'],
  },
  retry: {
    kind: 'command',
    summary: 'Creates a new run in place of a failed run.',
    input: shapes.retry,
    output: shapes.run,
    errors: [
      ...onRun,
      'INVALID_STATE_TRANSITION',
      'RUN_NOT_RETRYABLE',
      'RUN_ALREADY_RETRIED',
      'RUN_ANCESTOR_ENDED',
      'FREE_TEXT_DENIED',
    ],
    grants: ofRuns,
  },
  get: {
    kind: 'query',
    summary: 'Shows the record of a run.',
    input: shapes.ofRun,
    output: shapes.run,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  list: {
    kind: 'query',
    summary: 'Lists runs in the order of their creation.',
    input: shapes.list,
    output: shapes.listed,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  tree: {
    kind: 'query',
    summary: 'Shows a run and all runs below it.',
    input: shapes.ofRun,
    output: shapes.tree,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  why: {
    kind: 'query',
    summary: 'Shows the state of a run and the reasons for it.',
    input: shapes.ofRun,
    output: shapes.why,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
}
