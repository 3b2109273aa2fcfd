import type { RunState } from '../domain/run/state.ts'
import { workspaceOf } from '../domain/turn/workspace.ts'
import type { Entry } from '../kernel/entry.ts'
import { streamOfRun } from '../kernel/run-fact.ts'
import { missing } from '../log/corrupt.ts'
import type { Log } from '../log/level/log.ts'
import { objectIn } from '../log/level/objects.ts'
import { decode, decodeEntry } from '../log/level/rows/codec.ts'
import { readHead } from '../log/level/rows/head-row.ts'
import * as keys from '../log/level/rows/keys.ts'
import { decodeRow } from '../log/level/rows/row.ts'
import { stateRows } from '../log/level/state-rows.ts'
import type { StoreSnapshot } from '../log/level/store.ts'

/**
 * The ledger at one moment: its entries, and the sovereign state that follows from exactly these. It may be slightly
 * ahead of the published state, because entries are durable before they are published. Must be closed. Errors:
 * LEDGER_CORRUPT.
 */
export class SovereignView {
  readonly size: number
  readonly #generation: number
  readonly #snapshot: StoreSnapshot

  constructor(log: Pick<Log, 'snapshot'>) {
    this.#snapshot = log.snapshot()
    const { generation, size } = readHead(this.#snapshot)
    this.size = size
    this.#generation = generation
  }

  /** Cost: one read. */
  entry(seq: number): Entry {
    const key = keys.entryKey(seq)
    const value = this.#snapshot.get(key)
    if (value === undefined) throw missing(seq)
    return decodeEntry(key, value)
  }

  /** A row of sovereign state. Cost: one read. */
  state(name: string): unknown {
    const key = keys.stateKey(this.#generation, name)
    const value = this.#snapshot.get(key)
    return value === undefined ? undefined : decode(key, value)
  }

  /** The rows whose names begin with a prefix, in order. */
  scan(prefix: string): AsyncGenerator<[name: string, state: unknown]> {
    return stateRows(this.#snapshot, this.#generation, prefix)
  }

  /** The canonical JSON of an object that an entry or a row names. */
  object(digest: string): string {
    return objectIn(this.#snapshot, digest)
  }

  /**
   * The runs that have promoted into a workspace, with the number of their last promoted turn. Cost: one read for a
   * run's own workspace, otherwise a pass over the rows of all runs.
   */
  async *chains(workspace: string): AsyncGenerator<{ run_id: string; last: number }> {
    const isOwn = workspace.startsWith('run/')
    const prefix = streamOfRun(isOwn ? workspace.slice('run/'.length) : '')
    for await (const page of this.#snapshot.scan(keys.ranges.rows(this.#generation, prefix))) {
      for (const [key, value] of page) {
        const stream = keys.nameOfRowKey(key)
        const { manifest, run_id, turns } = decodeRow(key, stream, value, (seq) => this.entry(seq)).state as RunState
        const { workflow_id } = manifest
        if (turns !== undefined && turns.last > 0 && workspaceOf({ run_id, workflow_id }) === workspace)
          yield { last: turns.last, run_id }
      }
    }
  }

  close(): Promise<void> {
    return this.#snapshot.close()
  }
}
