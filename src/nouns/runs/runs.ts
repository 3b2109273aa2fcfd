import type { z } from 'zod'
import * as input from '../../domain/run/commands.ts'
import type { RunEventData } from '../../domain/run/events.ts'
import { recordOf } from '../../domain/run/record.ts'
import type { RunRecord } from '../../domain/run/run-record.ts'
import { LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import { after } from '../../kernel/maybe.ts'
import { type Core, submit } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { PolicyApi } from '../policy/policy.ts'
import {
  type Begun,
  begin,
  type DecidedAction,
  deniedError,
  type Performed,
  type PerformRequest,
  perform,
} from './performing.ts'
import { listRuns, type RunListing, type RunTree, stateOfRun, treeOf, type Why, whyOf } from './run-status.ts'

/**
 * `ledger.runs`: authorizes and records the work of runs. Every call takes an optional `actor` and `idempotency_key`,
 * and rejects with a LockstepError. Any call may reject with NOT_FOUND, NOT_RUN_ACTOR, RUN_LEASE_EXPIRED,
 * INVALID_INPUT or IDEMPOTENCY_MISMATCH. A call that changes a run costs one append.
 */
export class Runs {
  readonly #core: Core
  readonly #policy: PolicyApi

  constructor(core: Core, policy: PolicyApi) {
    this.#core = core
    this.#policy = policy
  }

  /**
   * Creates a run, below `parent_run_id` if given. Errors: INVALID_STATE_TRANSITION (the run_id is already used),
   * RUN_NOT_ACTIVE (the parent has ended), RUN_DENIED (its policy versions differ from the inherited ones).
   */
  async create(request: z.input<typeof input.createRunSchema>): Promise<RunRecord> {
    const { actor = this.#core.actor, idempotency_key, ...asked } = parse(input.createRunSchema, request, 'run')
    const { run_actor = actor, run_id = this.#core.newRunId() } = asked
    const command = { ...asked, type: 'run.create' as const, run_actor, run_id }
    // The request's content excludes a generated run_id, because each retry generates a new one.
    return this.#answer(await this.#submit(command, { actor, idempotency_key, content: asked }), command.type)
  }

  /**
   * Pins the run's policy and moves the run to running. Errors: INVALID_STATE_TRANSITION, LOCK_NOT_HELD, RUN_DENIED.
   */
  async start(request: z.input<typeof input.startRunSchema>): Promise<RunRecord> {
    return this.#ask('run.start', input.startRunSchema, request)
  }

  /** Restarts the run's lease. Errors: RUN_NOT_ACTIVE. */
  async heartbeat(request: z.input<typeof input.heartbeatSchema>): Promise<RunRecord> {
    return this.#ask('run.heartbeat', input.heartbeatSchema, request)
  }

  /**
   * Decides whether an action is allowed. A deny is returned, not thrown, and moves the run to denied. Errors:
   * RUN_NOT_ACTIVE.
   */
  async authorize(request: z.input<typeof input.authorizeSchema>): Promise<DecidedAction> {
    const outcome = await this.#submitAsked('run.authorize', input.authorizeSchema, request)
    refuseUnlessDone(outcome, 'run.authorize')
    return decidedOf(outcome)
  }

  /**
   * Records the outcome of an allowed action, once. Errors: RUN_NOT_ACTIVE, DECISION_NOT_OPEN, OUTPUTS_DENIED,
   * FREE_TEXT_DENIED, STALE_TOKEN and LEASE_EXPIRED (the run's lock).
   */
  async record(request: z.input<typeof input.recordActionSchema>): Promise<RunRecord> {
    return this.#ask('run.record', input.recordActionSchema, request)
  }

  /**
   * A complete run around one action: creates, starts and authorizes it, calls `work`, records the outcome and
   * completes the run. If `work` rejects, the run fails. Errors: RUN_DENIED (`work` was not called), and the errors
   * of `work`.
   */
  perform<T>(request: PerformRequest, work: (decided: DecidedAction) => Promise<T> | T): Promise<Performed<T>> {
    return perform(this, request, work)
  }

  /**
   * The first half of `perform`, for work in another process: creates, starts and authorizes the run. The caller
   * records the outcome. Errors: RUN_DENIED.
   */
  begin(request: PerformRequest): Promise<Begun> {
    return begin(this, request)
  }

  /** Errors: INVALID_STATE_TRANSITION, RUN_HAS_OPEN_ACTION, FREE_TEXT_DENIED, STALE_TOKEN, RELEASE_DENIED. */
  async complete(request: z.input<typeof input.completeRunSchema>): Promise<RunRecord> {
    const record = await this.#ask('run.complete', input.completeRunSchema, request)
    if (request.release_lock) await this.#core.filesDrained()
    return record
  }

  /** Errors: INVALID_STATE_TRANSITION, OUTPUTS_DENIED, FREE_TEXT_DENIED. */
  async fail(request: z.input<typeof input.failRunSchema>): Promise<RunRecord> {
    return this.#ask('run.fail', input.failRunSchema, request)
  }

  /** Errors: INVALID_STATE_TRANSITION, FREE_TEXT_DENIED. */
  async deny(request: z.input<typeof input.denyRunSchema>): Promise<RunRecord> {
    return this.#ask('run.deny', input.denyRunSchema, request)
  }

  /** Errors: INVALID_STATE_TRANSITION, FREE_TEXT_DENIED. */
  async cancel(request: z.input<typeof input.cancelRunSchema>): Promise<RunRecord> {
    return this.#ask('run.cancel', input.cancelRunSchema, request)
  }

  /**
   * Creates a new run that retries a failed one, and returns its record. Errors: RUN_NOT_RETRYABLE,
   * INVALID_STATE_TRANSITION.
   */
  async retry(request: z.input<typeof input.retryRunSchema>): Promise<RunRecord> {
    const { actor, idempotency_key, ...asked } = parse(input.retryRunSchema, request, 'retry')
    const command = { ...asked, type: 'run.retry' as const, new_run_id: asked.new_run_id ?? this.#core.newRunId() }
    return this.#answer(await this.#submit(command, { actor, idempotency_key, content: asked }), command.type)
  }

  /** Errors: NOT_FOUND. */
  async get(runId: string): Promise<RunRecord> {
    return recordOf(await stateOfRun(this.#core, runId))
  }

  /** Lists runs in order of creation, one page at a time. Errors: NOT_FOUND (cursor). Cost: see `listRuns`. */
  list(request: z.input<typeof input.listRunsSchema> = {}): Promise<RunListing> {
    return listRuns(this.#core, parse(input.listRunsSchema, request, 'list'))
  }

  /** A run and its descendants. Errors: NOT_FOUND. Cost: one read per run of the whole tree. */
  tree(runId: string): Promise<RunTree> {
    return treeOf(this.#core, runId)
  }

  /**
   * The present state of a run and its reasons: the last event, missing events, the rule that denied it, possible
   * moves. Errors: NOT_FOUND.
   */
  why(runId: string): Promise<Why> {
    return whyOf(this.#core, runId)
  }

  async #ask<Type extends AskedType>(type: Type, schema: z.ZodType<AskedOf>, request: unknown): Promise<RunRecord> {
    return this.#answer(await this.#submitAsked(type, schema, request), type)
  }

  #submitAsked(type: AskedType, schema: z.ZodType<AskedOf>, request: unknown): Promise<Outcome> {
    const { actor, idempotency_key, ...asked } = parse(schema, request, 'run')
    // Each schema's output is its command's input; both are defined side by side in core/run/commands.ts.
    const command = { ...asked, type } as unknown as Command
    return this.#submit(command, { actor, idempotency_key, content: asked })
  }

  async #submit(
    command: Command,
    {
      actor,
      content,
      idempotency_key,
    }: { actor?: Actor | undefined; content: object; idempotency_key?: string | undefined },
  ): Promise<Outcome> {
    const asked = { command: command.type, ...content } as unknown as Json
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content: asked }
    return after(this.#policy.known(), (policies) =>
      submit(this.#core, { ...command, policies } as input.RunCommand, { actor, request }),
    )
  }

  /** The record of the run that the entries belong to. */
  #answer(outcome: Outcome, type: input.RunCommand['type']): Promise<RunRecord> {
    const entry = refuseUnlessDone(outcome, type)
    return this.get(entry.run_id ?? '')
  }
}

type AskedType = Exclude<input.RunCommand['type'], 'run.create' | 'run.retry'>
interface AskedOf {
  actor?: Actor | undefined
  idempotency_key?: string | undefined
}
type Command = {
  [Type in input.RunCommand['type']]: Omit<Extract<input.RunCommand, { type: Type }>, 'policies'>
}[input.RunCommand['type']]

/**
 * The last entry of an answer. If the ledger appended another event than requested, that is an error, both at first
 * and on every repeat. Errors: RUN_LEASE_EXPIRED, RUN_DENIED.
 */
function refuseUnlessDone({ entries }: Outcome, type: input.RunCommand['type']): Entry {
  const entry = entries.at(-1) as Entry
  refuseExpired({ entries })
  if (entry.type === 'run.denied' && (type === 'run.create' || type === 'run.start'))
    throw deniedError(entry.data as RunEventData<'run.denied'>)
  return entry
}

/**
 * Throws RUN_LEASE_EXPIRED if the ledger failed the run, because its lease was over, instead of appending the
 * requested event.
 */
export function refuseExpired({ entries }: Pick<Outcome, 'entries'>): void {
  const { data, run_id, type } = entries.at(-1) as Entry
  if (type !== 'run.failed' || data.by !== 'ledger') return
  throw new LockstepError('RUN_LEASE_EXPIRED', `the lease of ${run_id} expired, so the run has failed`, {
    details: { run_id },
    hint: `To retry it, run: lockstep run retry ${run_id} --reason TEXT`,
  })
}

function decidedOf({ entries, replayed }: Outcome): DecidedAction {
  const entry = entries.find(({ type }) => type === 'run.decided') as Entry<'run.decided', RunEventData<'run.decided'>>
  const { decision, missing, reason, rule_ids } = entry.data
  return { decision, decision_id: entry.event_id, missing, pins: entry.policy_versions, reason, replayed, rule_ids }
}
