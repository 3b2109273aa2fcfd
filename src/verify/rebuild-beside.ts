import { textsErasedBy } from '../domain/erasure/selection.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { erasureCursor } from '../log/erased.ts'
import type { KeyedLog } from '../log/keyed/log.ts'
import type { ViewWrite } from '../log/log.ts'
import { blockEntries, horizon, ReceiptBlocks } from '../views/receipts.ts'
import { generations, RowsToBe, StateToBe } from './rebuild.ts'

export interface BesideOptions {
  /** Opens the ledger for a moment, and closes it again. */
  hold: <T>(work: (log: KeyedLog) => Promise<T>) => Promise<T>
  /** Identifies this rebuild. */
  nonce: string
  /** Called after each slice. */
  onSlice?: () => void
  sliceMillis?: number
  pauseMillis?: number
}

/**
 * Installs views that were rebuilt in a copy of a ledger, while others use the ledger. The ledger is held in slices:
 * remains of other rebuilds are deleted, the pairs of the new generation are written, entries appended meanwhile are
 * added, and one batch switches to the new generation. Then the old generation is deleted.
 *
 * - After a crash either the old or the complete new generation is in force; the next rebuild deletes the other.
 * - If free texts are erased meanwhile, it fails with LEDGER_UNAVAILABLE, and what it wrote is removed.
 * - If two rebuilds run at once, the later one wins and the earlier one fails with LEDGER_UNAVAILABLE. Each slice
 *   checks the claim of its own rebuild.
 */
export async function rebuildBeside(copy: KeyedLog, options: BesideOptions): Promise<void> {
  await new BesideRebuild(copy, options).run()
}

class BesideRebuild {
  readonly #copy: KeyedLog
  readonly #options: BesideOptions
  readonly #generation: number
  /** The number of entries that the new generation covers. */
  #reached: number
  #pagesMin = 0

  constructor(copy: KeyedLog, options: BesideOptions) {
    const { generation, size } = copy.head()
    this.#copy = copy
    this.#options = options
    this.#generation = generation
    this.#reached = size
  }

  async run(): Promise<void> {
    const before = await this.#untilDone((log) => this.#claim(log))
    const others = generations.filter((generation) => generation !== before)
    await this.#clear(others)
    await this.#copyPairs()
    await this.#untilDone((log, until) => this.#catchUp(log, until))
    await this.#clear([before])
  }

  /** Claims the new generation, and with it every generation not in force. Returns the generation in force. */
  async #claim(log: KeyedLog): Promise<number> {
    const { generation: before } = log.head()
    if (before === this.#generation) throw overtaken()
    await log.generations.claim(this.#generation, this.#options.nonce)
    return before
  }

  /** Deletes generations that are not in force. Fails if another rebuild has started. */
  async #clear(others: readonly number[]): Promise<void> {
    let from: Uint8Array | undefined
    await this.#untilDone(async (log, until) => {
      if (log.head().generation !== this.#generation) this.#assertClaimed(log)
      if (others.includes(log.head().generation)) throw overtaken()
      from = await log.generations.clear(others, { claimed: this.#generation, from, until })
      return from === undefined ? true : undefined
    })
  }

  async #copyPairs(): Promise<void> {
    const pages = this.#copy.generations.pairs(this.#generation)
    await this.#untilDone(async (log, until) => {
      this.#assertClaimed(log)
      for (let isEnd = false; !isEnd; ) {
        const pairs: [Uint8Array, Uint8Array][] = []
        while (!isEnd && pairs.length < limits.slicePairs) {
          const { done = false, value = [] } = await pages.next()
          pairs.push(...value)
          isEnd = done
        }
        if (pairs.length > 0) await log.generations.copy(this.#generation, pairs)
        if (!isEnd && performance.now() >= until) return undefined
      }
      return true
    })
  }

  /**
   * Adds entries appended meanwhile, some pages at a time. Switches and returns true once none is left. Each slice
   * takes at least one page more than the previous one, so it catches up however fast others append.
   */
  async #catchUp(log: KeyedLog, until: number): Promise<true | undefined> {
    this.#assertClaimed(log)
    const { size } = log.head()
    this.#pagesMin += 1
    for (let pages = 1; this.#reached < size; pages += 1) {
      await this.#takeIn(log, Math.min(size, this.#reached + limits.readPageEntries))
      if (pages >= this.#pagesMin && performance.now() >= until && this.#reached < size) return undefined
    }
    await log.switchTo(this.#generation)
    return true
  }

  async #takeIn(log: KeyedLog, to: number): Promise<void> {
    const generation = this.#generation
    const [rows, state, blocks] = [new RowsToBe(log, generation), new StateToBe(log, generation), new ReceiptBlocks()]
    const writes: ViewWrite[] = []
    // A block of receipts is derived from its first entry on.
    for await (const page of log.entries(this.#reached - (this.#reached % blockEntries), to)) {
      for (const entry of page) {
        const block = blocks.next(entry)
        if (entry.seq < this.#reached) continue
        if (textsErasedBy(entry).length > 0) throw await this.#withTexts(log, entry.seq)
        rows.evolve(entry)
        state.next(entry)
        if (block !== undefined) writes.push({ view: 'receipts', key: block.block, value: block.value })
      }
    }
    for (let key = horizon(this.#reached) / blockEntries; key < horizon(to) / blockEntries; key += 1) {
      writes.push({ view: 'receipts', key, value: undefined })
    }
    if (writes.length > 0) await log.generations.fill(generation, writes)
    await rows.writeAll()
    await state.writeAll()
    this.#reached = to
  }

  /** The new generation can have texts that were erased since the copy was made. It is removed, and so is what is left. */
  async #withTexts(log: KeyedLog, seq: number): Promise<LockstepError> {
    await log.generations.clear([this.#generation])
    const { cursors } = log.head()
    await log.keepCursors({ ...cursors, [erasureCursor]: Math.min(seq, cursors[erasureCursor] ?? seq) })
    return new LockstepError('LEDGER_UNAVAILABLE', 'free texts were erased while the views were rebuilt', {
      details: { outcome: 'not_applied' },
      hint: 'Run "lockstep verify --rebuild" again.',
    })
  }

  #assertClaimed(log: KeyedLog): void {
    if (log.generations.claimOf(this.#generation) !== this.#options.nonce) throw overtaken()
  }

  /** Holds the ledger for one slice at a time, with pauses for other processes, until the work returns a result. */
  async #untilDone<T>(work: (log: KeyedLog, until: number) => Promise<T | undefined>): Promise<T> {
    const { hold, onSlice, pauseMillis = limits.slicePauseMillis, sliceMillis = limits.sliceMillis } = this.#options
    for (;;) {
      const done = await hold((log) => work(log, performance.now() + sliceMillis))
      onSlice?.()
      await new Promise((resolve) => setTimeout(resolve, pauseMillis))
      if (done !== undefined) return done
    }
  }
}

function overtaken(): LockstepError {
  return new LockstepError('LEDGER_UNAVAILABLE', 'another rebuild of the views was started after this one', {
    details: { outcome: 'not_applied' },
    hint: 'Wait until it has finished, then run "lockstep verify".',
  })
}
