import type { Grant } from '../api/shapes/locks.ts'

/** How leases are kept. */
export interface HeartbeatOptions {
  /** Renews one lease. Errors: a loss, if `isLoss` says so; any other error is tried again. */
  renew: (lock_id: string) => Promise<unknown>
  isLoss: (error: unknown) => boolean
  /** How long leases are kept without any call, in milliseconds. */
  idleMillisMax: () => number
}

interface Kept {
  leaseMillis: number
  timer: NodeJS.Timeout
}

/** A lease is renewed after a third of its length; a renewal that failed is tried again after a tenth. */
const renewShare = 3
const retryShare = 10

/**
 * Keeps the leases of a session whose model does not tick. Each lease is *kept* while the client makes calls; it *rests*
 * once no call came for too long, so that a session that somebody left open does not hold its locks for ever; a call
 * wakes what is not over yet.
 */
export class Heartbeats {
  readonly #options: HeartbeatOptions
  readonly #kept = new Map<string, Kept>()
  #calledAt = performance.now()

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /** The locks whose leases are kept. */
  get lock_ids(): string[] {
    return [...this.#kept.keys()]
  }

  /** Keeps a lease from now on, when it was granted or renewed. */
  keep({ lease_duration_s, lock_id }: Pick<Grant, 'lease_duration_s' | 'lock_id'>): void {
    this.forget(lock_id)
    if (lease_duration_s === null) return
    this.#arm(lock_id, lease_duration_s * 1000, renewShare)
  }

  /** Stops keeping a lease. */
  forget(lock_id: string): void {
    clearTimeout(this.#kept.get(lock_id)?.timer)
    this.#kept.delete(lock_id)
  }

  /** The client made a call. */
  touch(): void {
    const isAwake = this.#isAwake()
    this.#calledAt = performance.now()
    if (isAwake) return
    for (const lock_id of this.#kept.keys()) void this.#beat(lock_id)
  }

  close(): void {
    for (const lock_id of this.lock_ids) this.forget(lock_id)
  }

  #isAwake(): boolean {
    return performance.now() - this.#calledAt < this.#options.idleMillisMax()
  }

  #arm(lock_id: string, leaseMillis: number, share: number): void {
    const timer = setTimeout(() => void this.#beat(lock_id), leaseMillis / share).unref()
    this.#kept.set(lock_id, { leaseMillis, timer })
  }

  async #beat(lock_id: string): Promise<void> {
    const kept = this.#kept.get(lock_id)
    if (kept === undefined || !this.#isAwake()) return
    clearTimeout(kept.timer)
    let share = renewShare
    try {
      await this.#options.renew(lock_id)
    } catch (error) {
      if (this.#options.isLoss(error)) return this.forget(lock_id)
      share = retryShare
    }
    // The lock may have been released, or renewed by a call, while this renewal was under way.
    if (this.#kept.get(lock_id) === kept) this.#arm(lock_id, kept.leaseMillis, share)
  }
}
