import { LockstepError } from '../../errors.ts'
import type { Store, StoreBatch } from './store.ts'

/**
 * Runs one write at a time, in order, because the store does not order concurrent writes. After a failed write, no
 * later write is tried.
 */
export class WriteQueue {
  /** Exact counts of what was written, for tests and benches. */
  readonly counts = { batches: 0, entries: 0, puts: 0 }
  readonly #store: Store
  #last: Promise<void> = Promise.resolve()

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Resolves when the batch is durable. A function makes the batch when its turn comes, from what is then stored. After a rejection the outcome is unknown, unless the error's details state it.
   */
  async write(batch: StoreBatch | (() => StoreBatch)): Promise<void> {
    let puts = 0
    await this.inTurn(() => {
      const made = typeof batch === 'function' ? batch() : batch
      puts = made.puts.length
      return made
    })
    this.counts.batches += 1
    this.counts.puts += puts
  }

  /** Writes a batch that the caller counts. It is made when its turn comes, from what is then stored. */
  inTurn(made: () => StoreBatch): Promise<void> {
    this.#last = this.#last.then(() => this.#store.write(made()), asUnwritten)
    // The caller handles the rejection. Later writes fail with it too, so it must not count as unhandled here.
    this.#last.catch(() => {})
    return this.#last
  }

  /** Does work that must not overlap a write, after all earlier writes. Rejects if one of them failed. */
  async between(work: () => void): Promise<void> {
    let failure: unknown
    this.#last = this.#last.then(() => {
      try {
        work()
      } catch (error) {
        // The failed work was not a write, so later writes are still tried.
        failure = error
      }
    })
    this.#last.catch(() => {})
    await this.#last
    if (failure !== undefined) throw failure
  }
}

/** A write that was queued behind a failed write was not applied. */
function asUnwritten(error: unknown): never {
  if (!(error instanceof LockstepError) || error.code !== 'LEDGER_MOVED') throw error
  const { cause, details, hint, message } = error
  const context = { details: { ...details, outcome: 'not_applied' }, cause }
  throw new LockstepError('LEDGER_MOVED', message, hint === undefined ? context : { ...context, hint })
}
