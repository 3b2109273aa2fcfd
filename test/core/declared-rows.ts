import { type LedgerCommand, readsOf } from '../../src/domain/aggregates.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Decision, LoadedState, Row } from '../../src/kernel/decider.ts'
import { streamOfRun } from '../../src/kernel/run-fact.ts'

/**
 * The rows that a decision may use: those that `reads` declares for its command, and those that declared rows of runs
 * name. It fails the test if the decision reads, or appends to, any other stream.
 */
export class DeclaredRows implements LoadedState {
  readonly #declared: Set<string>
  readonly #rows: ReadonlyMap<string, Row>

  constructor(command: LedgerCommand, rows: ReadonlyMap<string, Row>) {
    this.#rows = rows
    this.#declared = new Set()
    for (const stream of readsOf(command)) this.#declare(stream)
  }

  get(stream: string): Row | undefined {
    this.#assert(stream, 'reads')
    return this.#rows.get(stream)
  }

  /** Checks the streams of a decision's events, or of the record of its refusal. */
  check(decision: Decision): Decision {
    const events = decision.kind === 'append' ? decision.events : []
    const record = decision.kind === 'refuse' && decision.record !== undefined ? [decision.record] : []
    for (const { stream } of [...events, ...record]) this.#assert(stream, 'appends to')
    return decision
  }

  state(): undefined {}
  object(): undefined {}
  digest(): string {
    return ''
  }

  #declare(stream: string): void {
    if (this.#declared.has(stream)) return
    this.#declared.add(stream)
    if (!stream.startsWith('run/')) return
    const run = this.#rows.get(stream)?.state as
      | { lock: { name: string } | null; manifest: { workflow_id?: string | null }; parent_run_id: string | null }
      | undefined
    if (run?.lock) this.#declare(`lock/${run.lock.name}`)
    if (run?.manifest.workflow_id) this.#declare(`workflow/${run.manifest.workflow_id}`)
    if (run?.parent_run_id) this.#declare(streamOfRun(run.parent_run_id))
  }

  #assert(stream: string, what: string): void {
    if (this.#declared.has(stream)) return
    throw new LockstepError('INVARIANT_VIOLATED', `the decision ${what} ${stream}, which its command does not declare`)
  }
}
