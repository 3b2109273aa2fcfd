import type { LockstepError } from '../errors.ts'
import { named } from './descendants.ts'
import type { KeptLease } from './kept-lease.ts'
import type { Launched } from './launch.ts'
import type { ListedProcess } from './process-list.ts'
import type { SignalRelay } from './signal-relay.ts'
import { startTimer } from './waiting.ts'

/** A launched command and the lease under which it works. */
export interface Work {
  child: Launched
  lease: KeptLease
  /** Prints a message for people. */
  say: (text: string) => void
}

/** How to treat processes that a command leaves running when it ends. */
export type Survivors = 'ignore' | 'kill' | 'wait'

/** The limits of a command. Without them, the command itself decides when it ends after a signal. */
export interface Limits {
  /** The time between a signal, or TERM, and KILL. */
  graceMillis: number
  /** Aborted by a signal that should end the command. */
  stop: AbortSignal
  /** How long to wait for processes that the command left running. Meanwhile the lease is renewed. */
  survivorsMillis: number
  timeoutMillis: number | undefined
}

/** How a command ended. Processes in `left` survived every signal. */
export type CommandEnd =
  | { why: 'exited'; code: number }
  | { why: 'lost' | 'stopped' | 'timed_out'; left: ListedProcess[] }

/** After a command ends, its other processes have this long to exit before they are reported as left behind. */
const quietMillis = 200
const survivorsPollMillis = 500
/** Exit codes above this value mean that a signal ended the command. */
const exitSignalled = 128

/** Starts the renewals. From now on the guard learns about each renewal and about new descendants. */
export async function keepLease({ child: { descendants, guard }, lease }: Work): Promise<void> {
  await descendants.look()
  guard.arm(lease.ending())
  lease.onRenewal = (step) => {
    if (step === 'asking') void descendants.look().then((found) => guard.know(found))
    else guard.arm(lease.ending())
  }
  lease.keep()
}

/**
 * Follows a command until it and all processes it started have ended. If the lease is lost or the time limit is
 * reached, they receive TERM and, after the grace period, KILL. With `limits`, a signal starts the grace period too.
 */
export async function untilEnd(
  work: Work,
  { limits, relay, survivors }: { limits?: Limits; relay: SignalRelay; survivors: Survivors },
): Promise<CommandEnd> {
  const { child, lease } = work
  // The search at a signal finds processes that leave the group and lose their parent while the command ends.
  limits?.stop.addEventListener('abort', () => void child.descendants.look())
  const timer = new AbortController()
  const late = after(limits?.timeoutMillis, timer.signal)
  const signalled = relay.nextEnd()
  try {
    const lost = lease.lost.then(() => 'lost' as const)
    const first = await Promise.race([child.exit, lost, stopped(limits?.stop), late])
    if (typeof first !== 'number') return await endEarly(first, work, limits?.graceMillis ?? 0)
    if (lease.check() !== undefined) return await endEarly('lost', work, 0)
    // A signal that ended the command also ends the processes it left running. A signal that it handled does not.
    const isEnded = relay.hasHeard && first > exitSignalled
    const toStop = isEnded ? signalled : Promise.race([relay.nextEnd(), late])
    const isRobbed = await settle(work, { survivors, toStop, waitMillis: limits?.survivorsMillis })
    return isRobbed ? { why: 'lost', left: [] } : { why: 'exited', code: first }
  } finally {
    timer.abort()
  }
}

/** Ends a command whose lease is lost. Resolves with the processes that no signal could end. */
export async function endLost(work: Work, loss: LockstepError | undefined): Promise<ListedProcess[]> {
  work.say(`${loss?.message ?? 'the lease is lost'}; ending the command and all processes it started`)
  return endAll(work, work.lease.graceLeft())
}

/** Ends a command that is still running. */
async function endEarly(why: 'lost' | 'stopped' | 'timed_out', work: Work, graceMillis: number): Promise<CommandEnd> {
  const { child, lease, say } = work
  if (why === 'lost') return { why, left: await endLost(work, lease.loss) }
  if (why === 'timed_out') {
    say('the run reached its time limit; ending the command and all processes it started')
    return { why, left: await endAll(work, graceMillis) }
  }
  const until = performance.now() + graceMillis
  await endedOrLate([child.exit, lease.lost], graceMillis)
  const left = await endAll(work, Math.max(0, until - performance.now()))
  return left.some(({ pid }) => pid === child.pid) ? { why, left } : { why: 'exited', code: await child.exit }
}

/**
 * Ends a command and every process it started. It sends TERM, then KILL after the grace period or when the lease ends,
 * whichever comes first. It reports the processes that no signal could end, and resolves with them.
 */
async function endAll({ child, lease, say }: Work, graceMillis: number): Promise<ListedProcess[]> {
  const grace = Math.min(graceMillis, lease.ending().killMillis)
  child.guard.armKill(grace)
  const left = await child.descendants.end(grace)
  if (left.length > 0) say(`these processes survived every signal and may still be running: ${named(left)}`)
  return left
}

/**
 * Handles the processes that a command left running when it ended. By default it stops renewing the lease, waits for
 * these processes, and ends them as late as the lease allows. Resolves with true if someone else ended the lease
 * during the wait.
 *
 * `toStop` resolves when the processes must end at once: at a signal, or at the time limit of the whole command.
 * `waitMillis` limits the wait and keeps the lease renewed, for callers that must record something before it ends.
 */
async function settle(
  work: Work,
  { survivors, toStop, waitMillis }: { survivors: Survivors; toStop: Promise<unknown>; waitMillis: number | undefined },
): Promise<boolean> {
  const { lease, say } = work
  const { descendants, guard } = work.child
  guard.overMarked()
  if (survivors === 'ignore') return false
  if (await descendants.areGoneWithin(survivors === 'kill' ? 0 : quietMillis)) return false
  const left = await descendants.look()
  guard.know(left)
  guard.arm(lease.ending())
  if (waitMillis === undefined) lease.stopRenewing()
  const isWaiting = survivors === 'wait'
  const seconds = Math.ceil((waitMillis ?? lease.ending().termMillis) / 1000)
  const what = isWaiting ? `waiting up to ${seconds} s for them` : 'ending them'
  say(`the command has ended but left processes running; ${what}: ${named(left)}`)
  if (isWaiting && (await areGoneBefore(work.child, [toStop, lease.lost], waitMillis))) return false
  const { loss } = lease
  const isRobbed = loss !== undefined && loss.code !== 'LEASE_EXPIRED'
  if (isWaiting) say(isRobbed ? `${loss.message}; ending them` : 'ending the processes that the command left running')
  await endAll(work, lease.graceLeft())
  return isRobbed
}

/** Waits until no descendant is left: true. False after `waitMillis`, or as soon as one of `others` resolves. */
async function areGoneBefore(
  { descendants }: Launched,
  others: Promise<unknown>[],
  waitMillis = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const until = performance.now() + waitMillis
  let isStopped = false
  const stopped = Promise.race(others).then(() => {
    isStopped = true
  })
  while (!(await descendants.areGoneWithin(0))) {
    const left = until - performance.now()
    if (isStopped || left <= 0) return false
    await endedOrLate([stopped], Math.min(left, survivorsPollMillis))
  }
  return true
}

/** Resolves when the signal is aborted, also if it was aborted before. */
function stopped(stop: AbortSignal | undefined): Promise<'stopped'> {
  return new Promise((resolve) => {
    if (stop?.aborted) resolve('stopped')
    stop?.addEventListener('abort', () => resolve('stopped'))
  })
}

/** Waits for the first of these ends, for at most `millis`. */
async function endedOrLate(ends: Promise<unknown>[], millis: number): Promise<void> {
  const timer = new AbortController()
  await Promise.race([...ends, after(millis, timer.signal)])
  timer.abort()
}

/** Resolves after `millis`, unless `signal` is aborted before; without `millis`, never. */
function after(millis: number | undefined, signal: AbortSignal): Promise<'timed_out'> {
  return new Promise((resolve) => {
    if (millis === undefined) return
    signal.addEventListener(
      'abort',
      startTimer(millis, () => resolve('timed_out')),
    )
  })
}
