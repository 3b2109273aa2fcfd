import { turnNumberOf } from '../domain/run/turns.ts'
import type { TurnEventData } from '../domain/turn/events.ts'
import type { LogReader } from '../log/log.ts'
import { DerivedState } from './derived-state.ts'
import { Views } from './views.ts'

interface StateRow {
  bytes: Uint8Array
  key: string
  row: unknown
}

/**
 * The sovereign state of one workspace as it was at an earlier size of the ledger. Cost: one pass over the entries, and
 * memory for the state.
 */
export class PastView {
  readonly #inOrder: readonly StateRow[]
  readonly #last: ReadonlyMap<string, number>
  readonly #log: LogReader

  private constructor(log: LogReader, rows: ReadonlyMap<string, unknown>, last: ReadonlyMap<string, number>) {
    const inOrder = [...rows].map(([key, row]) => ({ bytes: Buffer.from(key), key, row }))
    this.#inOrder = inOrder.sort((one, other) => Buffer.compare(one.bytes, other.bytes))
    this.#last = last
    this.#log = log
  }

  static async at(log: LogReader, size: number, workspace: string): Promise<PastView> {
    const views = new Views(log)
    const state = new DerivedState((digest) => views.loaded.object(digest))
    const last = new Map<string, number>()
    for await (const page of log.entries(0, size)) {
      for (const entry of page) {
        if (entry.type !== 'turn.promoted' || entry.data.workspace !== workspace) continue
        await views.untilLoaded(() => state.next(entry))
        const { run_id, turn_id } = entry.data as TurnEventData<'turn.promoted'>
        last.set(run_id, turnNumberOf(turn_id) ?? 0)
      }
    }
    return new PastView(log, state.rows, last)
  }

  /** The rows whose names begin with a prefix, in order. */
  async *scan(prefix: string): AsyncGenerator<[name: string, state: unknown]> {
    for (let at = this.#firstAt(Buffer.from(prefix)); ; at += 1) {
      const { key, row } = this.#inOrder[at] ?? { key: undefined, row: undefined }
      if (!key?.startsWith(prefix)) return
      yield [key, row]
    }
  }

  /** The canonical JSON of an object that a row names. */
  async object(digest: string): Promise<string> {
    const [text] = await this.#log.load([{ view: 'object', key: digest }])
    return text as string
  }

  /** The runs that had promoted into the workspace, with the number of their last promoted turn. */
  async *chains(): AsyncGenerator<{ run_id: string; last: number }> {
    for (const [run_id, last] of this.#last) yield { last, run_id }
  }

  /** The index of the first row at or after the wanted key. */
  #firstAt(wanted: Uint8Array): number {
    let [from, to] = [0, this.#inOrder.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (Buffer.compare(this.#inOrder[middle]?.bytes ?? wanted, wanted) < 0) from = middle + 1
      else to = middle
    }
    return from
  }
}
