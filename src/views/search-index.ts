import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Key, Log } from '../log/log.ts'
import type { IndexWrite } from '../log/log-parts.ts'
import { IndexDerivation, isMove } from './index-derivation.ts'
import { blockEntries, creationTail, cursorTail, numberAt, numbered } from './index-keys.ts'

/** A query would have to wait too long for the index. So far `cursor` of `size` entries are indexed. */
export class IndexBehind extends LockstepError {
  readonly cursor: number
  readonly size: number

  constructor(cursor: number, size: number) {
    super('LEDGER_UNAVAILABLE', `${cursor} of ${size} entries are indexed`)
    this.cursor = cursor
    this.size = size
  }
}

/**
 * Keeps the index up to date with the log, outside the hot path. It reads durable entries from the log and writes
 * index rows in batches of their own, each with the cursor it reaches. A crash loses at most one such batch, which is
 * derived again (ADR 0018).
 *
 * - **resting**: no query waits. A long-lived process catches up from time to time, in small steps, with pauses while
 *   other callers append. A short-lived process never pays for the index.
 * - **reaching**: a query waits for a size, so the index goes on without pauses.
 * - **closed**: rows not yet written are derived at the next query.
 */
export class SearchIndex {
  readonly #log: Log
  #cursor: number | undefined
  #waiting = 0
  #work: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #hasAppended = false
  #isClosed = false
  #endPause = () => {}
  /** The longest time that a query may wait for the index, in milliseconds. */
  waitMillisMax = Number.POSITIVE_INFINITY

  constructor(log: Log) {
    this.#log = log
  }

  /** The number of entries that the index was derived from. Cost: one read at first use. Errors: LEDGER_CORRUPT. */
  async cursor(): Promise<number> {
    this.#cursor ??= (await this.#numberAt(cursorTail)) ?? 0
    return this.#cursor
  }

  /** Whether a query waits for the index. */
  get isAwaited(): boolean {
    return this.#waiting > 0
  }

  /**
   * Resolves when the index covers all entries below a published size. Errors: LEDGER_CLOSED, LEDGER_CORRUPT, the
   * errors of a write, and IndexBehind if it takes longer than `waitMillisMax`; one more write is always made first.
   * Cost: none if the index is up to date; otherwise one read per missing entry and one synced write per 2,048
   * entries.
   */
  async reached(size: number): Promise<void> {
    this.#waiting += 1
    this.#endPause()
    const until = performance.now() + this.waitMillisMax
    try {
      for (let cursor = await this.cursor(); cursor < size; ) {
        if (this.#isClosed) throw new LockstepError('LEDGER_CLOSED', 'the ledger was closed while its index was read')
        await this.#advance()
        cursor = await this.cursor()
        if (cursor < size && performance.now() >= until) throw new IndexBehind(cursor, size)
      }
    } finally {
      this.#waiting -= 1
    }
  }

  /**
   * Called when entries were published. If the process still runs one second later, it checks how far the index is
   * behind.
   */
  published(): void {
    this.#hasAppended = true
    if (this.#timer !== undefined || this.#isClosed) return
    this.#timer = setTimeout(() => void this.#catchUp(), lookMillis)
    this.#timer.unref()
  }

  /** Stops between two steps. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#endPause()
    await this.#work?.catch(() => {})
  }

  async #catchUp(): Promise<void> {
    try {
      while (!this.#isClosed && this.#log.head().size - (await this.cursor()) >= limits.indexLagEntries)
        await this.#advance()
    } catch {
      // The next query gets the same error.
    }
    this.#timer = undefined
  }

  /** Makes one write. A concurrent call waits for the write in progress. */
  #advance(): Promise<void> {
    this.#work ??= this.#derive().finally(() => {
      this.#work = undefined
    })
    return this.#work
  }

  async #derive(): Promise<void> {
    const cursor = await this.cursor()
    const to = Math.min(this.#log.head().size, cursor + limits.indexWriteEntries)
    const creations = new Map<string, number | undefined>()
    const derivation = new IndexDerivation((runId) => creations.get(runId))
    // The incomplete block is always derived from its start, so no state is kept between two writes.
    for (let from = cursor - (cursor % blockEntries); from < to; ) {
      const end = Math.min(to, from + limits.indexStepEntries)
      for await (const page of this.#log.entries(from, end)) {
        await this.#addCreations(page, creations)
        for (const entry of page) derivation.next(entry, { isKnown: entry.seq < cursor })
      }
      from = end
      if (from < to) await this.#pause()
      if (this.#isClosed) return
    }
    const writes = derivation.take().map(({ tail, value }): IndexWrite => ({ view: 'index', key: tail, value }))
    // The cursor is written in the same batch, so that a crash never separates it from the rows.
    await this.#log.index.write([...writes, { view: 'index', key: cursorTail, value: numbered(to) }])
    this.#cursor = to
  }

  /** Loads where the runs that these entries move were created. */
  async #addCreations(entries: readonly Entry[], creations: Map<string, number | undefined>): Promise<void> {
    const moved = new Set(entries.flatMap(({ run_id, type }) => (isMove(type) && run_id !== undefined ? [run_id] : [])))
    const runIds = [...moved].filter((runId) => !creations.has(runId))
    if (runIds.length === 0) return
    const stored = await this.#log.load(runIds.map((runId): Key => ({ view: 'index', key: creationTail(runId) })))
    runIds.forEach((runId, at) => void creations.set(runId, numberIn(stored[at])))
  }

  async #numberAt(key: Uint8Array): Promise<number | undefined> {
    const [stored] = await this.#log.load([{ view: 'index', key }])
    return numberIn(stored)
  }

  /**
   * Lets other callers go first. If no query waits and others append, it pauses for a while. If the process is busy,
   * it pauses until much has been appended.
   */
  async #pause(): Promise<void> {
    const { size } = this.#log.head()
    for (let isBusy = true; isBusy; ) {
      const isOthersTurn = this.#hasAppended && this.#waiting === 0 && !this.#isClosed
      this.#hasAppended = false
      if (!isOthersTurn) return new Promise(setImmediate)
      const before = performance.eventLoopUtilization()
      await this.#sleep()
      const { utilization } = performance.eventLoopUtilization(before)
      isBusy = utilization >= limits.indexBusyFrom && this.#log.head().size - size < limits.indexBusyEntries
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limits.indexPauseMillis)
      timer.unref()
      this.#endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function numberIn(stored: unknown): number | undefined {
  return stored === undefined ? undefined : numberAt(Buffer.from(stored as Uint8Array))
}

const lookMillis = 1_000
