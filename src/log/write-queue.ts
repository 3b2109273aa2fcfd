import { LockstepError } from '../errors.ts'
import type { Store, StoreBatch } from './store.ts'

/** One write at a time, in order, for the store gives none between two. Where one fails, none after it is tried. */
export class WriteQueue {
  /** Exact counts of what was written, for tests and benches. */
  readonly counts = { batches: 0, entries: 0, puts: 0 }
  readonly #store: Store
  #last: Promise<void> = Promise.resolve()

  constructor(store: Store) {
    this.#store = store
  }

  /** Resolves when the batch is durable. A rejection leaves its outcome unknown, unless its details say otherwise. */
  async write(batch: StoreBatch): Promise<void> {
    await this.inTurn(batch)
    this.counts.batches += 1
    this.counts.puts += batch.puts.length
  }

  /** The same of a batch that somebody else counts. */
  inTurn(batch: StoreBatch): Promise<void> {
    this.#last = this.#last.then(() => this.#store.write(batch), asUnwritten)
    // Who waits for it hears of it; that all after it fail as well is no rejection of nobody.
    this.#last.catch(() => {})
    return this.#last
  }

  /** Does what must not meet a write, once those before it are done. Rejects where one of these failed. */
  async between(work: () => void): Promise<void> {
    let failure: unknown
    this.#last = this.#last.then(() => {
      try {
        work()
      } catch (error) {
        // It was no write, so those after it are tried.
        failure = error
      }
    })
    this.#last.catch(() => {})
    await this.#last
    if (failure !== undefined) throw failure
  }
}

/** What was to be written after a write that failed was not written. */
function asUnwritten(error: unknown): never {
  if (!(error instanceof LockstepError) || error.code !== 'LEDGER_MOVED') throw error
  const { cause, details, hint, message } = error
  const context = { details: { ...details, outcome: 'not_applied' }, cause }
  throw new LockstepError('LEDGER_MOVED', message, hint === undefined ? context : { ...context, hint })
}
