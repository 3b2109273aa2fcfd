import { LockstepError } from '../errors.ts'
import { given } from '../kernel/given.ts'
import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'

/**
 * Recovers locks, and fails runs, whose lease has expired, and records the expiry of tokens: at intervals, a limited
 * number at once. Without it, locks and runs stay as they are until the next command on them. The ledger decides again
 * whether the lease is over, so a renewal in the meantime is safe. It also removes uploads that were not staged for long,
 * and erases texts that their class of retention no longer keeps.
 */
export class Sweep {
  /** Locks that were held at the last sweep. */
  held = 0
  readonly #ledger: LocalLedger
  readonly #failed: (error: unknown) => void
  readonly #runsMax: number
  readonly #timer: NodeJS.Timeout
  /** The last run and the last token that were examined. The next sweep goes on after them. */
  #lastRun: string | undefined
  #lastToken: string | undefined
  /** When texts are next erased by their class of retention. A sweep of these reads all entries. */
  #retentionDue = 0
  #work: Promise<void> = Promise.resolve()

  constructor(
    ledger: LocalLedger,
    {
      failed,
      millis,
      runsMax = limits.sweepRunsMax,
    }: { failed: (error: unknown) => void; millis: number; runsMax?: number },
  ) {
    this.#ledger = ledger
    // In a sealed ledger nothing expires any more.
    this.#failed = (error) => {
      if (!(error instanceof LockstepError && error.code === 'LEDGER_SEALED')) failed(error)
    }
    this.#runsMax = runsMax
    this.#timer = setInterval(() => this.now(), millis)
    this.#timer.unref()
  }

  /** Sweeps once. Resolves when that is done. A sweep that is still running is not started again. */
  now(): Promise<void> {
    this.#work = this.#work
      .then(() => this.#sweepLocks())
      .catch(this.#failed)
      .then(() => this.#sweepRuns())
      .catch(this.#failed)
      .then(() => this.#sweepTokens())
      .catch(this.#failed)
      .then(() => this.#ledger.uploads.clean())
      .catch(this.#failed)
      .then(() => this.#sweepTexts())
      .catch(this.#failed)
    return this.#work
  }

  stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.#work
  }

  async #sweepLocks(): Promise<void> {
    // A lock file without a grant has no token. It is left to the next acquire.
    const locks = (await this.#ledger.locks.list()).locks.filter(({ token }) => token !== undefined)
    const expired = locks.filter(({ orphan_reason }) => orphan_reason === 'lease_expired')
    this.held = locks.length - expired.length
    for (const { name } of expired.slice(0, limits.sweepLocksMax)) {
      await this.#ledger.expiring.locks.expire(name).catch(this.#failed)
    }
  }

  /** Runs are examined page by page, in order of creation. After the last one, the next sweep begins again. */
  async #sweepRuns(): Promise<void> {
    const { lease_expired, next } = await this.#ledger.runs.list({
      ...given({ cursor: this.#lastRun }),
      limit: this.#runsMax,
      status: 'running',
    })
    await Promise.all(lease_expired.map((run_id) => this.#ledger.expiring.runs.expire(run_id).catch(this.#failed)))
    this.#lastRun = next ?? undefined
  }

  async #sweepTexts(): Promise<void> {
    if (performance.now() < this.#retentionDue) return
    this.#retentionDue = performance.now() + limits.retentionMillis
    await this.#ledger.expiring.retention.sweepDue()
  }

  async #sweepTokens(): Promise<void> {
    this.#lastToken = await this.#ledger.expiring.tokens.expire(this.#lastToken, limits.sweepTokensMax)
  }
}
