import { nanoid } from 'nanoid'
import type { LockEventData } from '../core/lock/events.ts'
import type { Evidence } from '../core/lock/liveness.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Lease } from '../ledger/lease.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { WithLedger } from './context.ts'
import { bootMillis, KeptLease } from './kept-lease.ts'
import { LockFileWatch } from './lock-file-watch.ts'
import { untilFree } from './poll.ts'
import { startTimer } from './timer.ts'

/** What is to be held, by whom and how long. */
export interface LockOptions {
  request: { name: string } | { folder: string }
  holder: string
  lease_duration_s?: number
  /** Between TERM and KILL when the lease is lost; at most a quarter of the lease. */
  graceMillis?: number
  /** Without it a held lock is refused at once. */
  wait_s?: number
  /** Minted here unless given; every try has the same one. */
  lock_id?: string
  withLedger: WithLedger
  /** Talk for people. */
  say: (text: string) => void
}

const graceMillisDefault = 10_000
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
  // No reason to leave a grant to nobody: it is durable.
  const former = await formerHolders(ledger, lease).catch(() => [])
  return new HeldLock(options, lease, {
    dir: ledger.dir,
    former,
    lease: keptLeaseOf(options, lease, ledger, requestedAt),
  })
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
 * where the grant is still there.
 */
export class HeldLock {
  readonly name: string
  readonly lockId: string
  readonly token: number
  /** The ledger's root. */
  readonly dir: string
  /** Its lease, which is renewed once it is told to. */
  readonly lease: KeptLease
  /** Processes of the holder before, which a break or a loss took the lock from: their work may not be over. */
  readonly former: Evidence[]
  readonly #options: LockOptions

  constructor(options: LockOptions, { name, lock_id, token }: Lease, { lease, dir, former }: Held) {
    this.name = name
    this.lockId = lock_id
    this.token = token
    this.dir = dir
    this.former = former
    this.lease = lease
    this.#options = options
  }

  /**
   * Stops renewing and releases. Resolves with the loss where the lease was lost before, whoever has the lock now. A
   * release that fails for another reason is said; the lock is an orphan then as soon as its processes have ended.
   */
  async release(outcome: 'failure' | 'success'): Promise<LockstepError | undefined> {
    await this.lease.stop()
    const { loss } = this.lease
    // Only a grant whose time ran out may still be there; then releasing tidies up.
    if (loss !== undefined && loss.code !== 'LEASE_EXPIRED') return loss
    try {
      await this.#options.withLedger((ledger) => ledger.locks.release({ lock_id: this.lockId, outcome }))
      return loss
    } catch (error) {
      if (isLoss(error)) return loss ?? error
      this.#options.say(`${this.name} could not be released and is left as an orphan: ${messageOf(error)}`)
      return loss
    }
  }
}

type Held = Pick<HeldLock, 'dir' | 'former' | 'lease'>

/** The lease of a grant, as the ledger has it now. */
function keptLeaseOf(options: LockOptions, granted: Lease, ledger: Ledger, requestedAt: number): KeptLease {
  const { folder, lease_duration_s, lock_id, name, token } = granted
  const kept = {
    name,
    dir: ledger.dir,
    knownSize: ledger.head().size,
    leaseMillis: (lease_duration_s ?? 0) * 1000,
    requestedAt,
    renew: (open: Ledger) => open.locks.renew({ lock_id }),
    look: (open: Ledger) => {
      const status = open.locks.status(name)
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

/** How far back grants before are looked for; refusals stand between. */
const formerEntriesMax = 20

/**
 * The processes of the grants before this one, as far as these were broken or lost: their holders were not done. One
 * that was released or recovered, which is for holders that are dead or whose time was over, ends the row.
 */
async function formerHolders(ledger: Ledger, { name, token }: Lease): Promise<Evidence[]> {
  const former: Evidence[] = []
  for (const { data, seq, type } of await ledger.locks.history(name, { limit: formerEntriesMax })) {
    if (seq >= token) continue
    if (type === 'lock.released' || type === 'lock.recovered') break
    if (type === 'lock.acquired') former.push(...(data as LockEventData<'lock.acquired'>).evidence)
  }
  return former
}

function isLoss(error: unknown): error is LockstepError {
  return error instanceof LockstepError && lossCodes.includes(error.code)
}
