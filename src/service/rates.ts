import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'

interface Bucket {
  saved: number
  at: number
}

/** How many calls each actor may still make. Each actor has a bucket that fills at a constant rate. */
export class Rates {
  readonly #buckets = new Map<string, Bucket>()
  readonly #perSecond: number
  readonly #savedMax: number

  constructor(perSecond: number = limits.callsPerSecond) {
    this.#perSecond = perSecond
    this.#savedMax = perSecond * (limits.callsSavedUp / limits.callsPerSecond)
  }

  /** Counts one call. Errors: RATE_LIMITED. Cost: one look in a map. */
  take(actor: string): void {
    const now = performance.now()
    let bucket = this.#buckets.get(actor)
    if (bucket === undefined) {
      if (this.#buckets.size >= limits.calledActorsMax) this.#forgetOldest()
      bucket = { saved: this.#savedMax, at: now }
      this.#buckets.set(actor, bucket)
    }
    bucket.saved = Math.min(this.#savedMax, bucket.saved + ((now - bucket.at) / 1000) * this.#perSecond)
    bucket.at = now
    if (bucket.saved < 1) {
      throw new LockstepError('RATE_LIMITED', `${actor} may make ${this.#perSecond} calls a second`, {
        details: { retry_after_s: Math.ceil((1 - bucket.saved) / this.#perSecond), outcome: 'not_applied' },
      })
    }
    bucket.saved -= 1
  }

  /** The actor that was added first gets a full bucket when it calls again. */
  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys()
    if (oldest !== undefined) this.#buckets.delete(oldest)
  }
}
