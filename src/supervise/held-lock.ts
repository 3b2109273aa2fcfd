import { nanoid } from 'nanoid'
import type { LedgerHere } from '../api/api.ts'
import type { AcquireDeliverable, AcquirePaths, AcquireResource, Grant } from '../api/shapes/locks.ts'
import type { Evidence } from '../domain/lock/liveness.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { formerHolders } from './former.ts'
import { bootMillis, KeptLease, type WithLedger } from './kept-lease.ts'
import { startTimer, untilFree } from './waiting.ts'
import { LockFileWatch } from './watches.ts'

/** The lock to hold, its holder and its lease. */
export interface LockOptions {
  request: ({ name: string } | { folder: string } | { paths: string[]; shared: boolean }) & { reason?: string }
  holder: string
  lease_duration_s?: number
  /** The time between TERM and KILL when the lease is lost; at most a quarter of the lease. */
  graceMillis?: number
  /** How long to wait for a held lock. By default, a held lock is refused at once. */
  wait_s?: number
  /** A new id by default. Every attempt uses the same one. */
  lock_id?: string
  withLedger: WithLedger
  /** Prints a message for people. */
  say: (text: string) => void
}

const graceMillisDefault = 10_000
/** These codes mean that the grant has ended, so renewals are not retried. */
const lossCodes = ['LEASE_EXPIRED', 'LEASE_LOST', 'LOCK_NOT_HELD', 'STALE_TOKEN']

/** An attempt that is in progress at the end of the wait may take this much longer. */
const lastTryMillis = 1_000

/**
 * Acquires a lock for processes that are recorded as its holders. With `wait_s` it polls, and treats an unavailable
 * ledger like a held lock. Aborting `stop` ends the wait. If an attempt is being decided at that moment, its answer is
 * awaited, so that a grant can be released. Errors: those of `locks.acquire`, ABORTED, TIMED_OUT, LOCK_ENDED, and
 * IDEMPOTENCY_MISMATCH (the lock_id belongs to another acquisition).
 */
export async function acquireLock(options: LockOptions, pids: number[], stop: AbortSignal): Promise<HeldLock> {
  const { request, holder, lease_duration_s, lock_id = `lck_${nanoid()}`, wait_s = 0, withLedger } = options
  const acquire = { ...request, lease_duration_s, holder, lock_id, pids }
  const givenUp = new AbortController()
  let isDeciding = false
  const attempt = async () => {
    isDeciding = false
    givenUp.signal.throwIfAborted()
    return withLedger(async (ledger) => {
      givenUp.signal.throwIfAborted()
      // This stays true after a grant, because the grant must not be lost while the ledger closes.
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
  // The loser of the race is ignored. An attempt that still waits for the ledger ends when the ledger opens.
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

type AcquireRequest = (AcquireResource | AcquirePaths | AcquireDeliverable) & { lock_id: string; pids: number[] }

async function grantFrom(ledger: LedgerHere, request: AcquireRequest, options: LockOptions): Promise<HeldLock> {
  // The gate reads one value per line.
  if (ledger.dir.includes('\n')) throw new LockstepError('INVALID_INPUT', 'the path of the root contains a line break')
  let requestedAt = bootMillis()
  const grant = await ledger.locks.acquire(request)
  if (grant.replayed) {
    await refuseUnlessOwn(grant, ledger, request.pids)
    // The lock was granted to an earlier attempt whose answer was lost. The lease counts from then, so it is renewed.
    requestedAt = bootMillis()
    await ledger.locks.renew({ lock_id: request.lock_id })
  }
  // The grant is durable already, so a failed look-up of former holders must not lose it.
  const former = await formerHolders(ledger, grant).catch(() => [])
  return new HeldLock(options, grant, {
    dir: ledger.dir,
    former,
    lease: await keptLeaseOf(options, grant, ledger, requestedAt),
  })
}

/** A caller that waits treats an unavailable ledger like a held lock. */
function asContention(error: unknown, waitSeconds: number): never {
  if (waitSeconds === 0 || !(error instanceof LockstepError) || error.code !== 'LEDGER_UNAVAILABLE') throw error
  throw new LockstepError('LOCK_CONTENTION', error.message, { details: error.details, cause: error })
}

/** Refuses a reused lock_id whose grant has ended or belongs to other processes. */
async function refuseUnlessOwn(granted: Grant, ledger: LedgerHere, pids: number[]): Promise<void> {
  if (!granted.current) {
    throw new LockstepError(
      'LOCK_ENDED',
      `${granted.name} was granted to this lock_id earlier, and that grant has ended`,
      {
        details: { name: granted.name, token: granted.token },
      },
    )
  }
  const { pids: recorded = [] } = await ledger.locks.status({ name: granted.name, token: granted.token })
  if (recorded.join() === pids.join()) return
  throw new LockstepError('IDEMPOTENCY_MISMATCH', `${granted.name} is held under this lock_id by other processes`, {
    details: { name: granted.name, token: granted.token, pids: recorded },
  })
}

/**
 * A lock held by a process that does not keep the ledger open. States: held → released, or held → lost → released if
 * the grant still exists after the loss.
 */
export class HeldLock {
  readonly name: string
  readonly lockId: string
  readonly token: number
  /** The ledger's root. */
  readonly dir: string
  /** The lease of the lock. `lease.keep()` starts the renewals. */
  readonly lease: KeptLease
  /** Processes of former holders that lost the lock by a break or a loss. They may still be working. */
  readonly former: Evidence[]
  readonly #options: LockOptions

  constructor(options: LockOptions, { name, lock_id, token }: Grant, { lease, dir, former }: Held) {
    this.name = name
    this.lockId = lock_id
    this.token = token
    this.dir = dir
    this.former = former
    this.lease = lease
    this.#options = options
  }

  /**
   * Stops the renewals and releases the lock. Resolves with the loss if the lease was lost before. If the release fails
   * for another reason, a message is printed, and the lock becomes an orphan when its processes have ended.
   */
  async release(outcome: 'failure' | 'success'): Promise<LockstepError | undefined> {
    await this.lease.stop()
    const { loss } = this.lease
    // Only an expired grant may still exist, and then it is released.
    if (loss !== undefined && loss.code !== 'LEASE_EXPIRED') return loss
    try {
      await this.#options.withLedger((ledger) => ledger.locks.release({ lock_id: this.lockId, outcome }))
      return loss
    } catch (error) {
      if (isLoss(error)) return loss ?? error
      this.#options.say(`${this.name} could not be released and becomes an orphan: ${messageOf(error)}`)
      return loss
    }
  }
}

type Held = Pick<HeldLock, 'dir' | 'former' | 'lease'>

/** The lease of a grant, as the ledger records it now. */
async function keptLeaseOf(
  options: LockOptions,
  granted: Grant,
  ledger: LedgerHere,
  requestedAt: number,
): Promise<KeptLease> {
  const { folder, lease_duration_s, lock_id, name, token } = granted
  const kept = {
    name,
    dir: ledger.dir,
    knownSize: (await ledger.head.get()).size,
    leaseMillis: (lease_duration_s ?? 0) * 1000,
    requestedAt,
    renew: (open: LedgerHere) => open.locks.renew({ lock_id }),
    look: async (open: LedgerHere) => {
      const status = await open.locks.status({ name, token })
      if (status.token === token) return
      throw new LockstepError('LOCK_NOT_HELD', `the grant of ${name} with token ${token} has ended`, {
        details: { name, token },
      })
    },
    isLoss,
    file: folder === undefined ? undefined : new LockFileWatch(ledger.dir, folder),
    withLedger: options.withLedger,
    say: options.say,
  }
  return new KeptLease(kept, options.graceMillis ?? graceMillisDefault)
}

function isLoss(error: unknown): error is LockstepError {
  return error instanceof LockstepError && lossCodes.includes(error.code)
}
