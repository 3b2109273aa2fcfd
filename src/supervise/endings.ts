import type { LockstepError } from '../errors.ts'
import { type Descendants, named } from './descendants.ts'
import type { Guard } from './guard.ts'
import type { KeptLease } from './kept-lease.ts'
import type { ListedProcess } from './process-list.ts'
import type { Survivors } from './survivors.ts'
import { startTimer } from './timer.ts'

/** A command that runs under a lease, with everything needed to end it in time. */
export interface Work {
  descendants: Descendants
  guard: Guard
  lease: KeptLease
  /** Prints a message for people. */
  say: (text: string) => void
}

/** After a command ends, its other processes have this long to exit before they are reported as left behind. */
const quietMillis = 200
const survivorsPollMillis = 500

/** From now on, tells the guard about each renewal of the lease and looks for new descendants. */
export function follow({ descendants, guard, lease }: Work): void {
  guard.arm(lease.ending())
  lease.onRenewal = (step) => {
    if (step === 'asking') void descendants.look().then((found) => guard.know(found))
    else guard.arm(lease.ending())
  }
}

/**
 * Ends a command and every process it started. It sends TERM, then KILL after the grace period or when the lease ends,
 * whichever comes first. It reports the processes that no signal could end, and resolves with them.
 */
export async function endAll({ descendants, guard, lease, say }: Work, graceMillis: number): Promise<ListedProcess[]> {
  const grace = Math.min(graceMillis, lease.ending().killMillis)
  guard.armKill(grace)
  const left = await descendants.end(grace)
  if (left.length > 0) say(`these processes survived every signal and may still be running: ${named(left)}`)
  return left
}

/**
 * Handles the processes that a command left running when it ended. By default it stops renewing the lease, waits for
 * these processes, and ends them as late as the lease allows. If someone else ends the lease during the wait, the
 * promise resolves with the reason.
 *
 * `stopped` resolves when the processes must end at once: at a signal, or at the time limit of the whole command.
 * `waitMillis` limits the wait and keeps the lease renewed, for callers that must record something before it ends.
 */
export async function settle(
  work: Work,
  { survivors, stopped, waitMillis }: { survivors: Survivors; stopped: Promise<unknown>; waitMillis?: number },
): Promise<LockstepError | undefined> {
  const { descendants, guard, lease, say } = work
  guard.overMarked()
  if (survivors === 'ignore') return undefined
  if (await descendants.areGoneWithin(survivors === 'kill' ? 0 : quietMillis)) return undefined
  const left = await descendants.look()
  guard.know(left)
  guard.arm(lease.ending())
  if (waitMillis === undefined) lease.stopRenewing()
  const isWaiting = survivors === 'wait'
  const seconds = Math.ceil((waitMillis ?? lease.ending().termMillis) / 1000)
  const what = isWaiting ? `waiting up to ${seconds} s for them` : 'ending them'
  say(`the command has ended but left processes running; ${what}: ${named(left)}`)
  if (isWaiting && (await areGoneBefore(descendants, [stopped, lease.lost], waitMillis))) return undefined
  const { loss } = lease
  const isRobbed = loss !== undefined && loss.code !== 'LEASE_EXPIRED'
  if (isWaiting) say(isRobbed ? `${loss.message}; ending them` : 'ending the processes that the command left running')
  await endAll(work, lease.graceLeft())
  return isRobbed ? loss : undefined
}

/** Waits until no descendant is left: true. False after `waitMillis`, or as soon as one of `others` resolves. */
async function areGoneBefore(
  descendants: Descendants,
  others: Promise<unknown>[],
  waitMillis = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const until = performance.now() + waitMillis
  let isStopped = false
  let wake = () => {}
  void Promise.race(others).then(() => {
    isStopped = true
    wake()
  })
  while (!(await descendants.areGoneWithin(0))) {
    const left = until - performance.now()
    if (isStopped || left <= 0) return false
    await new Promise<void>((resolve) => {
      const stopTimer = startTimer(Math.min(left, survivorsPollMillis), resolve)
      wake = () => {
        stopTimer()
        resolve()
      }
    })
  }
  return true
}
