import { randomInt } from 'node:crypto'
import { LockstepError, messageOf } from '../errors.ts'
import { leaseClock } from '../fs/process.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { WithLedger } from './context.ts'
import { HeadWatch } from './head-watch.ts'
import type { LockFileWatch } from './lock-file-watch.ts'

/** A lease that is to be kept, and what it is of. */
export interface KeptOptions {
  /** For people: `resource:reports` or `run_1`. */
  name: string
  /** The ledger's root. */
  dir: string
  leaseMillis: number
  /** When it was asked for, by `bootMillis`. */
  requestedAt: number
  /** Of the ledger, when the lease was had: no entry up to there ends it. */
  knownSize: number
  /** Renews it. What it throws is a loss where `isLoss` says so. */
  renew: (ledger: Ledger) => Promise<unknown>
  /** Throws where it is lost. */
  look: (ledger: Ledger) => void
  isLoss: (error: unknown) => error is LockstepError
  /** A file that shows who has it, and is one more reason to renew. */
  file?: LockFileWatch | undefined
  withLedger: WithLedger
  /** Talk for people. */
  say: (text: string) => void
}

/** When work under a lease is to be told to end and when it has to have ended, in milliseconds from now. */
export interface Ending {
  termMillis: number
  killMillis: number
}

/** How often clock and head file are looked at: a timer does not count the time a machine was suspended. */
const watchMillis = 500
/** A renewal that failed is tried again after a tenth of the lease, within these bounds. */
const retryMillisMin = 50
const retryMillisMax = 2_000
/** Looks at the row of the lease take a tenth of the time at most, however many entries come and whoever else looks. */
const lookShare = 10
const lookPauseMillisMin = 1_000
const lookPauseMillisMax = 10_000
/** What is left of the lease when KILL goes out, for timers and signals that come late: a twentieth, within these bounds. */
const marginShare = 20
const marginMillisMin = 50
const marginMillisMax = 500
/** A grace is at most so much of a lease, so that most of it is left for work and for renewals that take a while. */
const graceShare = 4
/** A grace where another ended the lease: who has it next waits for the work to end, but not for ever. */
const robbedGraceMillisMax = 10_000

/** Time since boot, suspend counted: what the ledger judges leases by. */
export function bootMillis(): number {
  return leaseClock().boot_ms
}

/**
 * A lease in the hands of a process that does not keep the ledger open. Kept → waiting for its end → over, or lost from
 * either. While kept, it is renewed at a third of its length, and a renewal that fails for another reason than the loss
 * is tried again until it is time to end the work. Whoever else appends is noticed by the head file, and then the
 * ledger is opened for a look, so that a lease that another ended is lost within moments.
 *
 * The lease counts from before the last successful request was sent, on the lease clock. The work is to be told to end
 * a grace before the lease is over, which is a loss, and has to have ended a margin before it.
 */
export class KeptLease {
  /** Resolves with the reason when the lease is lost; never otherwise. */
  readonly lost: Promise<LockstepError>
  /** Called at each renewal before it is asked for, and after each that succeeded. */
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

  /** Why it was lost, if it was. */
  get loss(): LockstepError | undefined {
    return this.#loss
  }

  /** When the work has to end unless the lease is renewed, with the grace as short as the lease makes it. */
  ending(): Ending {
    const now = bootMillis()
    const margin = Math.min(Math.max(this.#options.leaseMillis / marginShare, marginMillisMin), marginMillisMax)
    const killMillis = Math.max(0, this.#safeUntil - margin - now)
    return { termMillis: Math.max(0, this.#termAt() - now), killMillis }
  }

  /** Between TERM and KILL from now: the grace, or what is left of it; a short one where another ended the lease. */
  graceLeft(): number {
    const isRobbed = this.#loss !== undefined && this.#loss.code !== 'LEASE_EXPIRED'
    return Math.min(this.#graceMillis, this.ending().killMillis, isRobbed ? robbedGraceMillisMax : Number.MAX_VALUE)
  }

  /** Renews from now on. */
  keep(): void {
    this.#watch()
  }

  /** Renews no more; that others end it is still noticed, and so is its own end. */
  stopRenewing(): void {
    this.#isRenewed = false
  }

  /** Renews and looks no more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#isOver = true
    clearTimeout(this.#timer)
    await this.#visit
  }

  /** Finds out whether the lease ran out, as after a time in which this process stood still. */
  check(): LockstepError | undefined {
    if (bootMillis() >= this.#safeUntil) this.#lose(this.#ranOut())
    return this.#loss
  }

  /** Looks at the lease, renews it when it is time, and comes back for what is next. */
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

  /** Opens the ledger to renew or to look, whichever is due by the time that it is open. */
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
        } else this.#options.look(ledger)
        this.#head.know(ledger.head().size)
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
      `${this.#options.name} could not be renewed and is tried again for ${left} s: ${messageOf(error)}`,
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
    return new LockstepError('LEASE_EXPIRED', `the lease of ${this.#options.name} ran out before it could be renewed`)
  }

  #lose(error: LockstepError): void {
    if (this.#loss !== undefined) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#loss = error
    this.#reportLoss(error)
  }
}
