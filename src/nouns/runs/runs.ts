import type { z } from 'zod'
import type { RunsApi } from '../../api/runs.ts'
import type * as shapes from '../../api/shapes/runs.ts'
import type * as commands from '../../domain/run/commands.ts'
import { recordOf } from '../../domain/run/record.ts'
import type { RunRecord } from '../../domain/run/run-record.ts'
import type { Json } from '../../kernel/canonical.ts'
import { type Actor, knownAs } from '../../kernel/ids.ts'
import { after } from '../../kernel/maybe.ts'
import { type Core, submit } from '../../writer/core.ts'
import { evidenceFor } from '../../writer/holders.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'
import type { Handlers } from '../served.ts'
import { decidedOf, refuseUnlessDone, withDigest } from './run-outcomes.ts'
import { listRuns, livenessOfRun, mayStillAct, runsBelow, stateOfRun, treeOf, unended, whyOf } from './run-status.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>

/** Authorizes and records the work of runs. */
export class Runs implements Handlers<RunsApi> {
  readonly #core: Core
  readonly #policy: PolicyOfLedger

  constructor(core: Core, policy: PolicyOfLedger) {
    this.#core = core
    this.#policy = policy
  }

  async create(input: Given<typeof shapes.create>): Promise<RunRecord> {
    const { actor = this.#core.actor, idempotency_key, ...asked } = input
    const { run_actor = knownAs(actor, undefined), run_id = this.#core.newRunId() } = asked
    const command = { ...asked, type: 'run.create' as const, run_actor, run_id }
    // The request's content excludes a generated run_id, because each retry generates a new one.
    return this.#answer(await this.#submit(command, { actor, idempotency_key, content: asked }), command.type)
  }

  async start({ actor, idempotency_key, ...asked }: Given<typeof shapes.start>): Promise<RunRecord> {
    const { pids, ...rest } = asked
    const processes = pids && evidenceFor(pids)
    const command = { ...rest, type: 'run.start' as const, processes }
    return this.#answer(await this.#submit(command, { actor, idempotency_key, content: asked }), command.type)
  }

  async recover({ actor, idempotency_key, ...asked }: Given<typeof shapes.recover>): Promise<RunRecord> {
    const liveness = livenessOfRun(await stateOfRun(this.#core, asked.run_id))
    const command = { ...asked, type: 'run.recover' as const, liveness }
    await this.#submit(command, { actor, idempotency_key, content: asked })
    return this.get(asked)
  }

  async heartbeat(input: Given<typeof shapes.heartbeat>): Promise<RunRecord> {
    return this.#ask('run.heartbeat', input)
  }

  async authorize(input: Given<typeof shapes.authorize>): Promise<shapes.DecidedAction> {
    const outcome = await this.#submitAsked('run.authorize', withDigest(input))
    refuseUnlessDone(outcome, 'run.authorize')
    const decided = decidedOf(outcome)
    const isAllowAgain = decided.replayed && decided.decision === 'allow'
    if (!isAllowAgain || (await mayStillAct(this.#core, input.run_id))) return decided
    // The earlier allow holds no more. Without its key the call is decided now: it is refused, on record.
    return this.authorize({ ...input, idempotency_key: undefined })
  }

  async record(input: Given<typeof shapes.record>): Promise<RunRecord> {
    return this.#ask('run.record', input)
  }

  async complete(input: Given<typeof shapes.complete>): Promise<RunRecord> {
    const record = await this.#ask('run.complete', input)
    if (input.release_lock) await this.#core.filesDrained()
    return record
  }

  async fail(input: Given<typeof shapes.fail>): Promise<RunRecord> {
    return this.#ask('run.fail', input)
  }

  async deny(input: Given<typeof shapes.deny>): Promise<RunRecord> {
    return this.#ask('run.deny', input)
  }

  async cancel(input: Given<typeof shapes.cancel>): Promise<RunRecord> {
    return this.#ask('run.cancel', input)
  }

  async cancelTree({ actor, idempotency_key, ...asked }: Given<typeof shapes.cancel>): Promise<shapes.CancelledTree> {
    const top = { ...asked, tree: true, type: 'run.cancel' as const }
    await this.#submit(top, { actor, idempotency_key, content: top })
    // However the run at the top has ended, by now or before, what is below it ends too.
    const { run_id } = asked
    const run = await this.get({ run_id })
    let cancelled_below = 0
    for await (const run_ids of runsBelow(this.#core, run_id)) {
      for (let left = run_ids; left.length > 0; left = await unended(this.#core, left)) {
        const command = { type: 'run.cancel_below' as const, run_id, run_ids: left }
        const { entries } = await this.#submit(command, { actor, content: {} })
        if (entries.length === 0) break
        cancelled_below += new Set(entries.map((entry) => entry.run_id)).size
      }
    }
    return { cancelled_below, run }
  }

  async retry({ actor, idempotency_key, ...asked }: Given<typeof shapes.retry>): Promise<RunRecord> {
    const command = { ...asked, type: 'run.retry' as const, new_run_id: asked.new_run_id ?? this.#core.newRunId() }
    return this.#answer(await this.#submit(command, { actor, idempotency_key, content: asked }), command.type)
  }

  async get({ run_id }: Given<typeof shapes.ofRun>): Promise<RunRecord> {
    return recordOf(await stateOfRun(this.#core, run_id))
  }

  async list(filters: Given<typeof shapes.list>): Promise<shapes.RunList> {
    return listRuns(this.#core, filters)
  }

  async tree({ run_id }: Given<typeof shapes.ofRun>): Promise<shapes.RunTree> {
    return treeOf(this.#core, run_id)
  }

  async why({ run_id }: Given<typeof shapes.ofRun>): Promise<shapes.RunReasons> {
    return whyOf(this.#core, run_id)
  }

  /**
   * Creates, starts and authorizes the run of one call of a tool, in one append. Not an operation: hooks ask for it.
   * Errors: those of `create`, `start` and `authorize`, except RUN_DENIED, which is an answer.
   */
  async begin({ actor, tool, ...asked }: ToolRun): Promise<shapes.DecidedAction & { run_id: string }> {
    const run_id = this.#core.newRunId()
    const { lane_id, parent_run_id } = asked
    const action = { action_type: 'tool_call' as const, lane_id, scope: { run_id }, target: { name: tool } }
    const outcome = await after(this.#policy.known(run_id, parent_run_id), (policies) => {
      const of = { policies, run_id }
      const command: commands.BeginAction = {
        ...of,
        authorize: { ...of, action, type: 'run.authorize' },
        create: { ...of, ...asked, run_kind: 'tool_gateway', type: 'run.create' },
        start: { ...of, type: 'run.start' },
        type: 'run.begin',
      }
      return submit(this.#core, command, { actor })
    })
    return { ...decidedOf(outcome), run_id }
  }

  /** Fails a run whose lease has expired. Nothing is recorded of any other run. Not an operation. */
  async expire(run_id: string): Promise<void> {
    await submit(this.#core, { type: 'run.expire', run_id })
  }

  async #ask(type: AskedType, input: AskedOf): Promise<RunRecord> {
    return this.#answer(await this.#submitAsked(type, input), type)
  }

  #submitAsked(type: AskedType, { actor, idempotency_key, ...asked }: AskedOf): Promise<Outcome> {
    // The output of each schema is the input of its command; both are defined side by side in domain/run/commands.ts.
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
    const parent = command.type === 'run.create' ? command.parent_run_id : undefined
    return after(this.#policy.known(command.run_id, parent), (policies) =>
      submit(this.#core, { ...command, policies } as commands.RunCommand, { actor, request }),
    )
  }

  /** The record of the run that the entries belong to. */
  async #answer(outcome: Outcome, type: commands.RunCommand['type']): Promise<RunRecord> {
    const entry = refuseUnlessDone(outcome, type)
    return recordOf(await stateOfRun(this.#core, entry.run_id ?? ''))
  }
}

/** A call of a tool for which a run is begun. */
export interface ToolRun {
  actor: Actor
  correlation_id: string
  lane_id: string
  parent_run_id: string
  role_id: string
  run_actor: Actor
  tool: string
}

type AskedType = Exclude<
  commands.RunCommand['type'],
  'run.begin' | 'run.cancel_below' | 'run.create' | 'run.expire' | 'run.recover' | 'run.retry' | 'run.start'
>
interface AskedOf {
  actor?: Actor | undefined
  idempotency_key?: string | undefined
}
type Command = {
  [Type in commands.RunCommand['type']]: Omit<Extract<commands.RunCommand, { type: Type }>, 'policies'>
}[commands.RunCommand['type']]
