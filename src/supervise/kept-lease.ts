import { randomInt } from 'node:crypto'
import type { LedgerHere } from '../api/api.ts'
import { leaseClock } from '../disk/process.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { HeadWatch, type LockFileWatch } from './watches.ts'

/** `withLedger` with its first arguments bound, for callers that open the ledger repeatedly, each time for a moment. */
export type WithLedger = <T>(work: (ledger: LedgerHere) => Promise<T>) => Promise<T>

/** A lease to keep, and the functions that renew and check it. */
export interface KeptOptions {
  /** The name of the lock or run, for people: `resource:reports` or `run_1`. */
  name: string
  /** The ledger's root. */
  dir: string
  leaseMillis: number
  /** The time at which the lease was requested, from `bootMillis`. */
  requestedAt: number
  /** The size of the ledger after the grant: no entry below it ends the lease. */
  knownSize: number
  /** Renews the lease. A thrown error means a loss if `isLoss` accepts it. */
  renew: (ledger: LedgerHere) => Promise<unknown>
  /** Rejects if the lease is lost. */
  look: (ledger: LedgerHere) => Promise<void>
  isLoss: (error: unknown) => error is LockstepError
  /** The lock file, if there is one. If it changes, the lease is renewed at once. */
  file?: LockFileWatch | undefined
  withLedger: WithLedger
  /** Prints a message for people. */
  say: (text: string) => void
}

/** When work under a lease receives TERM and when it receives KILL, in milliseconds from now. */
export interface Ending {
  termMillis: number
  killMillis: number
}

/** How often the clock and the head file are checked. Timers do not count the time that a machine was suspended. */
const watchMillis = 500
/** A failed renewal is retried after a tenth of the lease, within these bounds. */
const retryMillisMin = 50
const retryMillisMax = 2_000
/** Checks of the lease in the ledger take at most a tenth of the time, however many entries others append. */
const lookShare = 10
const lookPauseMillisMin = 1_000
const lookPauseMillisMax = 10_000
/** KILL is sent a twentieth of the lease before its end, within these bounds, in case a timer or signal is late. */
const marginShare = 20
const marginMillisMin = 50
const marginMillisMax = 500
/** The grace period is at most a quarter of the lease, so that most of it is left for work and for slow renewals. */
const graceShare = 4
/** The grace period if another process ended the lease: the next holder waits for the work to end, but not for ever. */
const robbedGraceMillisMax = 10_000

/** Milliseconds since boot, including suspended time. The ledger judges leases by this clock. */
export function bootMillis(): number {
  return leaseClock().boot_ms
}

/**
 * A lease of a process that does not keep the ledger open. States: kept → no longer renewed → over; from the first two
 * it can also become lost. A kept lease is renewed after a third of its length. If a renewal fails without a loss, it
 * is retried until the work must end. The head file shows that other processes append. The ledger is then opened for a
 * check, so that a lease ended by someone else is noticed within moments.
 *
 * The lease counts on the lease clock, from just before the last successful request. When only the grace period is
 * left, the lease counts as lost and the work receives TERM. The work must be gone a margin before the lease ends.
 */
export class KeptLease {
  /** Resolves with the reason when the lease is lost, and otherwise never. */
  readonly lost: Promise<LockstepError>
  /** Called before each renewal, and after each successful renewal. */
  onRenewal: (step: 'asking' | 'renewed') => void = () => {}
  readonly #graceMillis: number
  readonly #head: HeadWatch
  readonly #options: KeptOptions
  #hasFailed = false
  #isOver = false
  #isRenewed = true
  #lookAt = 0
  #loss: LockstepError | undefined
  #renewAt = 0
  #reportLoss: (error: LockstepError) => void = () => {}
  #safeUntil = 0
  #timer: NodeJS.Timeout | undefined
  #visit: Promise<void> | undefined

  constructor(options: KeptOptions, graceMillis: number) {
    this.#options = options
    this.#graceMillis = Math.min(graceMillis, options.leaseMillis / graceShare)
    this.#head = new HeadWatch(options.dir, options.knownSize)
    this.lost = new Promise((resolve) => {
      this.#reportLoss = resolve
    })
    this.#countFrom(options.requestedAt)
  }

  /** The reason for the loss, if the lease is lost. */
  get loss(): LockstepError | undefined {
    return this.#loss
  }

  /** When the work must end unless the lease is renewed. A short lease shortens the grace period. */
  ending(): Ending {
    const now = bootMillis()
    const margin = Math.min(Math.max(this.#options.leaseMillis / marginShare, marginMillisMin), marginMillisMax)
    const killMillis = Math.max(0, this.#safeUntil - margin - now)
    return { termMillis: Math.max(0, this.#termAt() - now), killMillis }
  }

  /**
   * The time between TERM and KILL if TERM is sent now: the grace period, or the rest of it. It is short if another
   * process ended the lease.
   */
  graceLeft(): number {
    const isRobbed = this.#loss !== undefined && this.#loss.code !== 'LEASE_EXPIRED'
    return Math.min(this.#graceMillis, this.ending().killMillis, isRobbed ? robbedGraceMillisMax : Number.MAX_VALUE)
  }

  /** Starts the renewals. */
  keep(): void {
    this.#watch()
  }

  /** Stops the renewals. The end of the lease is still noticed, whether it expires or someone else ends it. */
  stopRenewing(): void {
    this.#isRenewed = false
  }

  /** Stops renewals and checks, and waits for a running one. */
  async stop(): Promise<void> {
    this.#isOver = true
    clearTimeout(this.#timer)
    await this.#visit
  }

  /** Checks whether the lease has expired, for example while this process was stopped. */
  check(): LockstepError | undefined {
    if (bootMillis() >= this.#safeUntil) this.#lose(this.#ranOut())
    return this.#loss
  }

  /** Renews or checks the lease if one of them is due, and sets the timer for the next time. */
  #watch(): void {
    clearTimeout(this.#timer)
    const now = bootMillis()
    if (!this.#isOver && now >= this.#termAt()) this.#lose(this.#ranOut())
    if (this.#isOver) return
    if (this.#visit === undefined && now >= this.#lookAt && this.#options.file?.isTaken()) this.#renewAt = now
    if (this.#visit === undefined && (this.#isDue(now) || (now >= this.#lookAt && this.#head.hasGrown()))) {
      this.#visit = this.#goAndSee().finally(() => {
        this.#visit = undefined
        this.#watch()
      })
    }
    const next = this.#visit === undefined && this.#isRenewed ? Math.min(this.#renewAt, this.#termAt()) : this.#termAt()
    this.#timer = setTimeout(() => this.#watch(), Math.max(1, Math.min(next - now, watchMillis)))
  }

  #isDue(now: number): boolean {
    return this.#isRenewed && now >= this.#renewAt
  }

  /** Opens the ledger. If a renewal is due once it is open, renews the lease; otherwise checks it. */
  async #goAndSee(): Promise<void> {
    const began = performance.now()
    const isRenewal = this.#isDue(bootMillis())
    if (isRenewal) this.onRenewal('asking')
    try {
      await this.#options.withLedger(async (ledger) => {
        if (this.#isOver) return
        const requestedAt = bootMillis()
        if (this.#isDue(requestedAt)) {
          await this.#options.renew(ledger)
          this.#countFrom(requestedAt)
          this.#hasFailed = false
          this.#options.file?.know()
          this.onRenewal('renewed')
        } else await this.#options.look(ledger)
        this.#head.know((await ledger.head.get()).size)
      })
    } catch (error) {
      if (this.#options.isLoss(error)) return this.#lose(error)
      if (isRenewal) this.#tryAgain(error)
    }
    const pause = Math.min(Math.max((performance.now() - began) * lookShare, lookPauseMillisMin), lookPauseMillisMax)
    this.#lookAt = bootMillis() + pause
  }

  #tryAgain(error: unknown): void {
    const pause = Math.min(Math.max(this.#options.leaseMillis / 10, retryMillisMin), retryMillisMax)
    this.#renewAt = bootMillis() + pause / 2 + randomInt(pause)
    if (this.#hasFailed || this.#isOver) return
    this.#hasFailed = true
    const left = Math.ceil(this.ending().termMillis / 1000)
    this.#options.say(
      `the lease of ${this.#options.name} could not be renewed; retrying for ${left} s: ${messageOf(error)}`,
    )
  }

  #termAt(): number {
    return this.#safeUntil - this.#graceMillis
  }

  #countFrom(requestedAt: number): void {
    this.#renewAt = requestedAt + this.#options.leaseMillis / 3
    this.#safeUntil = requestedAt + this.#options.leaseMillis
  }

  #ranOut(): LockstepError {
    return new LockstepError('LEASE_EXPIRED', `the lease of ${this.#options.name} expired before it could be renewed`)
  }

  #lose(error: LockstepError): void {
    if (this.#loss !== undefined) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#loss = error
    this.#reportLoss(error)
  }
}
