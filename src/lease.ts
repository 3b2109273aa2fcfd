import type { Api } from './api/api.ts'
import type { CallOptions } from './api/operation.ts'
import type {
  AcquireDeliverable,
  AcquirePaths,
  AcquireResource,
  Grant,
  ReleasedLock,
  Renewal,
} from './api/shapes/locks.ts'
import { bootMillis } from './disk/uptime.ts'
import { LockstepError } from './errors.ts'
import type { Actor } from './kernel/ids.ts'

/** A lock to hold on a resource, paths or a deliverable. If no processes are named, this process holds it. */
export type HoldRequest =
  | AcquireResource
  | AcquirePaths
  | (Omit<AcquireDeliverable, 'pids'> & { pids?: number[] | undefined })

/**
 * A granted lock in its holder's hands. `signal` aborts when the lease ends. The lease is counted from before the
 * request was sent, so the holder stops no later than the ledger frees the lock.
 */
export interface Lease extends Grant, AsyncDisposable {
  readonly signal: AbortSignal
  /** Restarts the lease. Errors: LEASE_EXPIRED, LEASE_LOST, STALE_TOKEN. */
  renew(): Promise<Renewal>
  /** Ends the grant. The end of an `await using` scope does the same. Errors: LOCK_NOT_HELD, LEASE_LOST. */
  release(outcome?: 'failure' | 'success'): Promise<ReleasedLock>
}

export interface LeaseOptions {
  /** The actor of the request. Default: the actor of the connection. */
  actor?: Actor | undefined
  /** `performance.now()` before the request was sent. Default: now, which is later than the ledger counts. */
  requestedAt?: number | undefined
  /** The milliseconds since boot, including suspend. Default: the machine's. */
  bootMillis?: (() => number) | undefined
}

type Locks = Pick<Api, 'locks'>

/**
 * Acquires a resource or a deliverable for this process, and gives the lease of the grant. Errors: those of
 * `locks.acquire`.
 */
export async function hold(
  ledger: Locks,
  request: HoldRequest,
  options: CallOptions & Pick<LeaseOptions, 'bootMillis'> = {},
): Promise<Lease> {
  const requestedAt = performance.now()
  const grant = await ledger.locks.acquire({ ...request, pids: request.pids ?? [process.pid] }, options)
  return lease(ledger, grant, { actor: request.actor, bootMillis: options.bootMillis, requestedAt })
}

/** The lease of a grant of a resource or a deliverable. Errors: INVALID_INPUT (a project, which has no lease). */
export function lease(ledger: Locks, grant: Grant, options: LeaseOptions = {}): Lease {
  if (grant.lease_duration_s === null) throw new LockstepError('INVALID_INPUT', `${grant.name} has no lease`)
  return new HeldLease(ledger, grant, grant.lease_duration_s * 1000, options) as unknown as Lease
}

/** Timers stop while the machine is suspended, so the clocks are checked at least this often. */
const lookMillisMax = 5_000

class HeldLease {
  readonly #actor: Actor | undefined
  readonly #bootMillis: () => number
  readonly #grant: Grant
  readonly #leaseMillis: number
  readonly #ledger: Locks
  #deadline: number
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(ledger: Locks, grant: Grant, leaseMillis: number, options: LeaseOptions) {
    const { actor, bootMillis: millisSinceBoot = bootMillis, requestedAt = performance.now() } = options
    Object.assign(this, grant)
    this.#actor = actor
    this.#bootMillis = millisSinceBoot
    this.#grant = grant
    this.#leaseMillis = leaseMillis
    this.#ledger = ledger
    this.#deadline = requestedAt + leaseMillis
  }

  /** Created on first use: most holders never use it, and a timer per grant would cost more than the grant. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      this.#arm()
    }
    return this.#controller.signal
  }

  async renew(): Promise<Renewal> {
    const requestedAt = performance.now()
    const renewal = await this.#ledger.locks.renew({ actor: this.#actor, lock_id: this.#grant.lock_id })
    this.#deadline = requestedAt + this.#leaseMillis
    const { acquired, expires_at } = renewal
    Object.assign(this, { acquired, expires_at })
    if (this.#controller !== undefined) this.#arm()
    return renewal
  }

  async release(outcome: 'failure' | 'success' = 'success'): Promise<ReleasedLock> {
    const { lock_id } = this.#grant
    const released = await this.#ledger.locks.release({ actor: this.#actor, lock_id, outcome })
    // Only now: after a refused release the lease goes on, and the holder must still be told when it ends.
    clearTimeout(this.#timer)
    return released
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #arm(): void {
    clearTimeout(this.#timer)
    const bootDeadline = this.#bootMillis() + this.#deadline - performance.now()
    // `performance.now()` stops during suspend; the boot clock has a resolution of only hundredths of a second. The
    // earlier end counts.
    const left = () => Math.min(this.#deadline - performance.now(), bootDeadline - this.#bootMillis())
    const wait = () => {
      this.#timer = setTimeout(look, Math.max(0, Math.min(left(), lookMillisMax))).unref()
    }
    const look = () => {
      if (left() > 0) wait()
      else this.#controller?.abort(new Error(`the lease of ${this.#grant.name} has run out`))
    }
    wait()
  }
}
