import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { IndexWrite } from '../log/view-write.ts'
import { IndexDerivation } from './index-derivation.ts'
import { blockEntries, creationTail, cursorTail, numberAt, numbered } from './index-keys.ts'

/** A question would wait longer for the index than it may: `cursor` of `size` entries are indexed by now. */
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
 * Keeps the index up with the log, off the hot path: entries are read from the log once they are durable, and what
 * they give is written in batches of the index alone, each with the cursor that it reaches. A crash loses at most one
 * such batch, which is derived again (ADR 0018).
 *
 * - **resting**: nobody asks. A process that lives long enough catches up from time to time, in small steps and with
 *   pauses while others append; a process that only does one thing never pays for it.
 * - **reaching**: somebody waits for a size, so it goes on without pauses.
 * - **closed**: what was not written will be derived by the next who asks.
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
  /** How long a question may wait for it. */
  waitMillisMax = Number.POSITIVE_INFINITY

  constructor(log: Log) {
    this.#log = log
  }

  /** How many entries it was derived from. Cost: one read, once. Errors: LEDGER_CORRUPT. */
  get cursor(): number {
    if (this.#cursor === undefined) {
      const stored = this.#log.index.get(cursorTail)
      this.#cursor = stored === undefined ? 0 : numberAt(Buffer.from(stored))
    }
    return this.#cursor
  }

  /** Whether somebody waits for it. */
  get isAwaited(): boolean {
    return this.#waiting > 0
  }

  /**
   * Resolves when it holds everything below a published size. Errors: LEDGER_CLOSED, LEDGER_CORRUPT, and whatever a
   * write fails with; IndexBehind where that takes longer than `waitMillisMax`, after one more write in any case.
   * Cost: nothing if the index is up to date; otherwise a read for each entry behind, and a synced write for 2,048.
   */
  async reached(size: number): Promise<void> {
    this.#waiting += 1
    this.#endPause()
    const until = performance.now() + this.waitMillisMax
    try {
      while (this.cursor < size) {
        if (this.#isClosed) throw new LockstepError('LEDGER_CLOSED', 'the ledger was closed while its index was read')
        await this.#advance()
        if (this.cursor < size && performance.now() >= until) throw new IndexBehind(this.cursor, size)
      }
    } finally {
      this.#waiting -= 1
    }
  }

  /** Entries were published: a process that is still there in a second looks how far behind it is. */
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
      while (!this.#isClosed && this.#log.head().size - this.cursor >= limits.indexLagEntries) await this.#advance()
    } catch {
      // Whoever asks next meets the same and is told.
    }
    this.#timer = undefined
  }

  /** One write further; who comes while one is under way waits for it. */
  #advance(): Promise<void> {
    this.#work ??= this.#derive().finally(() => {
      this.#work = undefined
    })
    return this.#work
  }

  async #derive(): Promise<void> {
    const { cursor } = this
    const to = Math.min(this.#log.head().size, cursor + limits.indexWriteEntries)
    const derivation = new IndexDerivation((runId) => this.#creationOf(runId))
    // The block under way is begun anew, so that nothing has to be remembered between two writes.
    for (let from = cursor - (cursor % blockEntries); from < to; ) {
      const end = Math.min(to, from + limits.indexStepEntries)
      for await (const page of this.#log.entries(from, end)) {
        for (const entry of page) derivation.next(entry, { isKnown: entry.seq < cursor })
      }
      from = end
      if (from < to) await this.#pause()
      if (this.#isClosed) return
    }
    const writes = derivation.take().map(({ tail, value }): IndexWrite => ({ view: 'index', key: tail, value }))
    // The cursor in the same batch: a crash leaves both as they were, or both as they are now.
    await this.#log.index.write([...writes, { view: 'index', key: cursorTail, value: numbered(to) }])
    this.#cursor = to
  }

  #creationOf(runId: string): number | undefined {
    const stored = this.#log.index.get(creationTail(runId))
    return stored === undefined ? undefined : numberAt(Buffer.from(stored))
  }

  /**
   * Lets others go first. Where nobody waits and others append, for a while; where they are many, until they have done
   * much.
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

const lookMillis = 1_000
