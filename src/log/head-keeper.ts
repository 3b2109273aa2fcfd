import { limits } from '../kernel/limits.ts'
import type { Heads } from './heads.ts'

const refreshMillis = 1_000

/**
 * Keeps `.lockstep/head` up to date off the hot path: at most once a second while entries are appended, and at close.
 * An error is kept and thrown at close. That is safe, because a stale head only means that a rollback is compared with
 * an older state.
 */
export class HeadKeeper {
  readonly #heads: Heads
  readonly #custody: { isOurs(): boolean }
  #timer: NodeJS.Timeout | undefined
  #isTouched = false
  #isClosed = false
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown

  /** Nothing is written if the ledger is no longer in its place, because the file would belong to another ledger. */
  constructor(heads: Heads, custody: { isOurs(): boolean }) {
    this.#heads = heads
    this.#custody = custody
  }

  /** Call after each append. */
  touch(): void {
    this.#isTouched = true
    if (this.#isClosed) return
    this.#timer ??= setTimeout(() => {
      this.#isTouched = false
      this.#writing = this.#keep().finally(() => {
        // Only now, so that a slow signer gets no second request meanwhile.
        this.#timer = undefined
        if (this.#isTouched) this.touch()
      })
    }, refreshMillis).unref()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#failure = undefined
    await Promise.all([this.#keep(limits.closeSignMillisMax), this.#writing])
    if (this.#failure !== undefined) throw this.#failure
  }

  async #keep(millisMax?: number): Promise<void> {
    if (!this.#custody.isOurs()) return
    await this.#heads.keep(millisMax).catch((error: unknown) => {
      if (this.#custody.isOurs()) this.#failure = error
    })
  }
}
