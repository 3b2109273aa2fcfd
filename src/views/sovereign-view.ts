import type { RunState } from '../domain/run/state.ts'
import { workspaceOf } from '../domain/turn/workspace.ts'
import type { Entry } from '../kernel/entry.ts'
import { streamOfRun } from '../kernel/run-fact.ts'
import type { Key, Log, LogSnapshot } from '../log/log.ts'
import { Views } from './views.ts'

/**
 * The ledger at one moment: its entries, and the sovereign state that follows from exactly these. It may be slightly
 * ahead of the published state, because entries are durable before they are published. Must be closed. Errors:
 * LEDGER_CORRUPT.
 */
export class SovereignView {
  readonly size: number
  readonly #snapshot: LogSnapshot

  private constructor(snapshot: LogSnapshot) {
    this.#snapshot = snapshot
    this.size = snapshot.head().size
  }

  static async open(log: Pick<Log, 'snapshot'>): Promise<SovereignView> {
    return new SovereignView(await log.snapshot())
  }

  /** Pages of entries from a seq on. */
  entries(from: number): AsyncGenerator<Entry[]> {
    return this.#snapshot.entries(from)
  }

  /** A row of sovereign state. Cost: one read. */
  state(name: string): Promise<unknown> {
    return this.#value({ view: 'state', key: name })
  }

  /** The rows whose names begin with a prefix, in order. */
  async *scan(prefix: string): AsyncGenerator<[name: string, state: unknown]> {
    for await (const page of this.#snapshot.scan('state', prefix)) yield* page
  }

  /** The canonical JSON of an object that an entry or a row names. */
  async object(digest: string): Promise<string> {
    return (await this.#value({ view: 'object', key: digest })) as string
  }

  /**
   * The runs that have promoted into a workspace, with the number of their last promoted turn. Cost: one read for a
   * run's own workspace, otherwise a pass over the rows of all runs.
   */
  async *chains(workspace: string): AsyncGenerator<{ run_id: string; last: number }> {
    const isOwn = workspace.startsWith('run/')
    const prefix = streamOfRun(isOwn ? workspace.slice('run/'.length) : '')
    for await (const [, { state }] of new Views(this.#snapshot).rows(prefix)) {
      const { manifest, run_id, turns } = state as RunState
      const { workflow_id } = manifest
      if (turns !== undefined && turns.last > 0 && workspaceOf({ run_id, workflow_id }) === workspace)
        yield { last: turns.last, run_id }
    }
  }

  async #value(key: Key): Promise<unknown> {
    const [value] = await this.#snapshot.load([key])
    return value
  }

  close(): Promise<void> {
    return this.#snapshot.close()
  }
}
