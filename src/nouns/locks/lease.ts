import type { LockEventData } from '../../domain/lock/events.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'

/** The answer to an acquire: the recorded grant and its present state. */
export interface GrantFacts {
  acquired: string
  /** False only on a replay whose grant has ended since. */
  current: boolean
  deliverable_id?: string
  expires_at: string | null
  files?: 'current' | 'pending'
  folder?: string
  holder: string
  lease_duration_s: number | null
  lock_id: string
  lock_ref: string
  name: string
  replayed: boolean
  run_id?: string
  target_name?: string
  /** The fencing token: the seq of the grant. It strictly increases for every name. */
  token: number
  warning?: string
}

type Renewal = { acquired: string; expires_at: string }

interface LeaseActions {
  renew: () => Promise<Renewal>
  release: (outcome: 'failure' | 'success') => Promise<unknown>
}

/**
 * A granted lock in its holder's hands. `signal` aborts when the lease ends. The lease is counted from before the
 * request was sent, so the holder stops no later than the ledger frees the lock.
 */
export interface Lease extends GrantFacts, AsyncDisposable {
  readonly signal: AbortSignal
  /** Restarts the lease. Errors: LEASE_EXPIRED, LEASE_LOST, STALE_TOKEN. */
  renew(): Promise<Renewal>
  /** Errors: LOCK_NOT_HELD, LEASE_LOST. */
  release(outcome?: 'failure' | 'success'): Promise<void>
}

/** The clocks by which a holder measures its lease. */
export interface HolderClock {
  /** `performance.now()` before the request was sent. */
  requestedAt: number
  /** The lease clock: milliseconds since boot, including suspend. */
  bootMillis: () => number
}

export function leaseOf(facts: GrantFacts, clock: HolderClock, actions: LeaseActions): Lease {
  return new HeldLease(facts, clock, actions) as unknown as Lease
}

/** Timers stop while the machine is suspended, so the clocks are checked at least this often. */
const lookMillisMax = 5_000

class HeldLease {
  readonly #actions: LeaseActions
  readonly #bootMillis: () => number
  readonly #facts: GrantFacts
  #deadline: number
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(facts: GrantFacts, { bootMillis, requestedAt }: HolderClock, actions: LeaseActions) {
    Object.assign(this, facts)
    this.#facts = facts
    this.#actions = actions
    this.#bootMillis = bootMillis
    this.#deadline = requestedAt + (facts.lease_duration_s ?? Number.POSITIVE_INFINITY) * 1000
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
    const renewal = await this.#actions.renew()
    this.#deadline = requestedAt + (this.#facts.lease_duration_s ?? 0) * 1000
    Object.assign(this, renewal)
    if (this.#controller !== undefined) this.#arm()
    return renewal
  }

  async release(outcome: 'failure' | 'success' = 'success'): Promise<void> {
    await this.#actions.release(outcome)
    // Only now: after a refused release the lease goes on, and the holder must still be told when it ends.
    clearTimeout(this.#timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #arm(): void {
    clearTimeout(this.#timer)
    if (!Number.isFinite(this.#deadline)) return
    const bootDeadline = this.#bootMillis() + this.#deadline - performance.now()
    // `performance.now()` stops during suspend; the boot clock has a resolution of only hundredths of a second. The
    // earlier end counts.
    const left = () => Math.min(this.#deadline - performance.now(), bootDeadline - this.#bootMillis())
    const wait = () => {
      this.#timer = setTimeout(look, Math.max(0, Math.min(left(), lookMillisMax))).unref()
    }
    const look = () => {
      if (left() > 0) wait()
      else this.#controller?.abort(new Error(`the lease of ${this.#facts.name} has run out`))
    }
    wait()
  }
}

/** Renders the answer to an acquire from its entry, for a first answer and for replays. */
export function grantFacts(
  entry: Entry,
  lockId: string,
  { replayed, current }: { replayed: boolean; current: boolean },
): GrantFacts {
  const data = entry.data as LockEventData<'lock.acquired'>
  return {
    name: data.name,
    token: entry.seq,
    lock_id: lockId,
    lock_ref: data.lock_ref,
    holder: data.holder,
    acquired: data.acquired,
    lease_duration_s: data.lease_duration_s,
    expires_at: data.expires_at,
    ...given({
      deliverable_id: data.deliverable_id,
      folder: data.folder,
      run_id: data.run_id,
      target_name: data.target_name,
    }),
    replayed,
    current,
  }
}
