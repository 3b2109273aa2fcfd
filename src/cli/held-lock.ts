import { randomInt } from 'node:crypto'
import { nanoid } from 'nanoid'
import { LockstepError, messageOf } from '../errors.ts'
import { leaseClock } from '../fs/process.ts'
import type { Lease } from '../ledger/lease.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { WithLedger } from './context.ts'
import { untilFree } from './poll.ts'
import { startTimer } from './timer.ts'

/** What is to be held, by whom and how long. */
export interface LockOptions {
  request: { name: string } | { folder: string }
  holder: string
  lease_duration_s?: number
  /** Without it a held lock is refused at once. */
  wait_s?: number
  /** Minted here unless given; every try has the same one. */
  lock_id?: string
  withLedger: WithLedger
  /** Talk for people. */
  say: (text: string) => void
}

/** How often the lease is looked at, at least: a timer does not count the time a machine was suspended. */
const watchMillis = 1_000
/** A renewal that failed is tried again after a tenth of the lease, within these bounds. */
const retryMillisMin = 50
const retryMillisMax = 2_000
/** With these the grant is over, and so is trying. */
const lossCodes = ['LEASE_EXPIRED', 'LEASE_LOST', 'LOCK_NOT_HELD', 'STALE_TOKEN']

/** What a try that is under way when the time is over may take beyond it. */
const lastTryMillis = 1_000

/**
 * Acquires a lock for processes that are recorded as its holders. With `wait_s` it polls, and a ledger that cannot
 * be had is waited for like the lock. Aborting `stop` ends that; a try that is being decided in that moment is
 * waited for, so that its grant can be released. Errors: those of `locks.acquire`, ABORTED, TIMED_OUT, LOCK_ENDED
 * and IDEMPOTENCY_MISMATCH (the lock_id is another acquisition's).
 */
export async function acquireLock(options: LockOptions, pids: number[], stop: AbortSignal): Promise<HeldLock> {
  const { request, holder, lease_duration_s, lock_id = `lck_${nanoid()}`, wait_s = 0, withLedger } = options
  const acquire = { ...request, ...(lease_duration_s === undefined ? {} : { lease_duration_s }), holder, lock_id, pids }
  const givenUp = new AbortController()
  let isDeciding = false
  const attempt = async () => {
    isDeciding = false
    givenUp.signal.throwIfAborted()
    return withLedger(async (ledger) => {
      givenUp.signal.throwIfAborted()
      // Stays so once it is granted: the ledger is still to be closed, and the grant must not be lost meanwhile.
      isDeciding = true
      return grantFrom(ledger, acquire, options).catch((error: unknown) => {
        isDeciding = false
        throw error
      })
    })
  }
  const granted = untilFree(() => attempt().catch((error) => asContention(error, wait_s)), wait_s)
  const refused = new Promise<never>((_resolve, reject) => {
    givenUp.signal.addEventListener('abort', () => isDeciding || reject(givenUp.signal.reason))
  })
  // Whichever comes second is nobody's any more: a try that only waits for the ledger ends when that opens.
  for (const promise of [granted, refused]) promise.catch(() => {})
  const giveUp = (code: 'ABORTED' | 'TIMED_OUT', why: string) => givenUp.abort(new LockstepError(code, why))
  const onStop = () => giveUp('ABORTED', 'the command was stopped before its lock was granted')
  const late = () => giveUp('TIMED_OUT', `the lock was not granted within ${wait_s} s`)
  const stopTimer = wait_s === 0 ? () => {} : startTimer(wait_s * 1000 + lastTryMillis, late)
  stop.addEventListener('abort', onStop)
  if (stop.aborted) onStop()
  try {
    return await Promise.race([granted, refused])
  } finally {
    stopTimer()
    stop.removeEventListener('abort', onStop)
  }
}

type AcquireRequest = Parameters<Ledger['locks']['acquire']>[0] & { pids: number[] }

async function grantFrom(ledger: Ledger, request: AcquireRequest, options: LockOptions): Promise<HeldLock> {
  // The gate takes its values line by line.
  if (ledger.dir.includes('\n')) throw new LockstepError('INVALID_INPUT', 'the path of the root has a line break')
  let requestedAt = bootMillis()
  const lease = await ledger.locks.acquire(request)
  if (lease.replayed) {
    refuseUnlessOwn(lease, ledger, request.pids)
    // Granted at an earlier try whose answer was lost: the lease counts from that one, so it is set anew.
    requestedAt = bootMillis()
    await lease.renew()
  }
  return new HeldLock(options, lease, { dir: ledger.dir, requestedAt })
}

/** For one who waits, a ledger that cannot be had just now is as good as a lock that is held. */
function asContention(error: unknown, waitSeconds: number): never {
  if (waitSeconds === 0 || !(error instanceof LockstepError) || error.code !== 'LEDGER_UNAVAILABLE') throw error
  throw new LockstepError('LOCK_CONTENTION', error.message, { details: error.details, cause: error })
}

/** A lock_id that was used before names that acquisition, which other processes hold or held. */
function refuseUnlessOwn(granted: Lease, ledger: Ledger, pids: number[]): void {
  if (!granted.current) {
    throw new LockstepError('LOCK_ENDED', `${granted.name} was granted to this lock_id once and has ended since`, {
      details: { name: granted.name, token: granted.token },
    })
  }
  const recorded = ledger.locks.status(granted.name).pids ?? []
  if (recorded.join() === pids.join()) return
  throw new LockstepError('IDEMPOTENCY_MISMATCH', `${granted.name} is held under this lock_id by other processes`, {
    details: { name: granted.name, token: granted.token, pids: recorded },
  })
}

/**
 * A lock in the hands of a process that does not keep the ledger open. Held → released, or held → lost → released
 * where the grant is still there. While held, it is renewed at a third of the lease, and a renewal that fails for
 * another reason than the loss is tried again until the safe deadline. That deadline counts from before the last
 * successful request was sent, on the lease clock; passing it is a loss.
 */
export class HeldLock {
  readonly name: string
  readonly lockId: string
  readonly token: number
  /** The ledger's root. */
  readonly dir: string
  /** Resolves with the reason when the lease is lost; never otherwise. */
  readonly lost: Promise<LockstepError>
  readonly #leaseMillis: number
  readonly #options: LockOptions
  #beforeRenewal: () => void = () => {}
  #hasFailed = false
  #isOver = false
  #loss: LockstepError | undefined
  #renewAt = 0
  #renewing: Promise<void> | undefined
  #reportLoss: (error: LockstepError) => void = () => {}
  #safeUntil = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: LockOptions, lease: Lease, { dir, requestedAt }: { dir: string; requestedAt: number }) {
    this.name = lease.name
    this.lockId = lease.lock_id
    this.token = lease.token
    this.dir = dir
    this.#options = options
    this.#leaseMillis = (lease.lease_duration_s ?? 0) * 1000
    this.lost = new Promise((resolve) => {
      this.#reportLoss = resolve
    })
    this.#countFrom(requestedAt)
  }

  /** Renews from now on; `beforeRenewal` is called each time. */
  keep(beforeRenewal: () => void): void {
    this.#beforeRenewal = beforeRenewal
    this.#watch()
  }

  /** Looks at the lease, renews it when it is time, and comes back for what is next. */
  #watch(): void {
    clearTimeout(this.#timer)
    if (this.#isOver) return
    const now = bootMillis()
    if (now >= this.#safeUntil) {
      this.#lose(new LockstepError('LEASE_EXPIRED', `the lease of ${this.name} ran out before it could be renewed`))
      return
    }
    if (now >= this.#renewAt && this.#renewing === undefined) {
      this.#beforeRenewal()
      this.#renewing = this.#renew().finally(() => {
        this.#renewing = undefined
        this.#watch()
      })
    }
    const next = this.#renewing === undefined ? Math.min(this.#renewAt, this.#safeUntil) : this.#safeUntil
    this.#timer = setTimeout(() => this.#watch(), Math.max(1, Math.min(next - now, watchMillis)))
  }

  async #renew(): Promise<void> {
    try {
      await this.#options.withLedger(async (ledger) => {
        if (this.#isOver) return
        const requestedAt = bootMillis()
        await ledger.locks.renew({ lock_id: this.lockId })
        this.#countFrom(requestedAt)
      })
      this.#hasFailed = false
    } catch (error) {
      if (isLoss(error)) return this.#lose(error)
      const pause = Math.min(Math.max(this.#leaseMillis / 10, retryMillisMin), retryMillisMax)
      this.#renewAt = bootMillis() + pause / 2 + randomInt(pause)
      if (this.#hasFailed || this.#isOver) return
      this.#hasFailed = true
      const left = Math.max(0, Math.ceil((this.#safeUntil - bootMillis()) / 1000))
      this.#options.say(`${this.name} could not be renewed and is tried again for ${left} s: ${messageOf(error)}`)
    }
  }

  /**
   * Stops renewing and releases. Resolves with the loss where the lease was lost before, whoever has the lock now. A
   * release that fails for another reason is said; the lock is an orphan then as soon as its processes have ended.
   */
  async release(outcome: 'failure' | 'success'): Promise<LockstepError | undefined> {
    this.#isOver = true
    clearTimeout(this.#timer)
    await this.#renewing
    // Only a grant whose time ran out may still be there; then releasing tidies up.
    if (this.#loss !== undefined && this.#loss.code !== 'LEASE_EXPIRED') return this.#loss
    try {
      await this.#options.withLedger((ledger) => ledger.locks.release({ lock_id: this.lockId, outcome }))
    } catch (error) {
      if (isLoss(error)) this.#loss ??= error
      else this.#options.say(`${this.name} could not be released and is left as an orphan: ${messageOf(error)}`)
    }
    return this.#loss
  }

  #countFrom(requestedAt: number): void {
    this.#renewAt = requestedAt + this.#leaseMillis / 3
    this.#safeUntil = requestedAt + this.#leaseMillis
  }

  #lose(error: LockstepError): void {
    if (this.#loss !== undefined) return
    this.#isOver = true
    this.#loss = error
    this.#reportLoss(error)
  }
}

function isLoss(error: unknown): error is LockstepError {
  return error instanceof LockstepError && lossCodes.includes(error.code)
}

/** Time since boot, suspend counted: what the ledger judges leases by. */
function bootMillis(): number {
  return leaseClock().boot_ms
}
