import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'

/**
 * Recovers locks whose lease has expired, at intervals, a limited number at once. Without it they stay orphans until
 * somebody acquires them. A lock that was renewed in the meantime is not an orphan, so the ledger leaves it.
 */
export class Sweep {
  /** Locks that were held at the last sweep. */
  held = 0
  readonly #ledger: LocalLedger
  readonly #failed: (error: unknown) => void
  readonly #timer: NodeJS.Timeout
  #work: Promise<void> = Promise.resolve()

  constructor(ledger: LocalLedger, millis: number, failed: (error: unknown) => void) {
    this.#ledger = ledger
    this.#failed = failed
    this.#timer = setInterval(() => this.now(), millis)
    this.#timer.unref()
  }

  /** Sweeps once. Resolves when that is done. A sweep that is still running is not started again. */
  now(): Promise<void> {
    this.#work = this.#work.then(() => this.#sweep()).catch(this.#failed)
    return this.#work
  }

  stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.#work
  }

  async #sweep(): Promise<void> {
    const { locks } = await this.#ledger.locks.list()
    const expired = locks.filter(({ orphan_reason }) => orphan_reason === 'lease_expired')
    this.held = locks.length - expired.length
    for (const { name } of expired.slice(0, limits.sweepLocksMax)) {
      await this.#ledger.locks.recover({ name, reason: 'the lease expired' }).catch(this.#failed)
    }
  }
}
