import type { LockstepError } from '../errors.ts'
import { type Descendants, named } from './descendants.ts'
import type { Guard } from './guard.ts'
import type { KeptLease } from './kept-lease.ts'
import type { ListedProcess } from './process-list.ts'
import type { Survivors } from './survivors.ts'
import { startTimer } from './timer.ts'

/** Work under a lease, and what it takes to end it in time. */
export interface Work {
  descendants: Descendants
  guard: Guard
  lease: KeptLease
  /** Talk for people. */
  say: (text: string) => void
}

/** What a command that is just ending may take to do so, before it is said to have left something. */
const quietMillis = 200
const survivorsPollMillis = 500

/** Keeps the guard informed of the lease and the descendants known, from now on. */
export function follow({ descendants, guard, lease }: Work): void {
  guard.arm(lease.ending())
  lease.onRenewal = (step) => {
    if (step === 'asking') void descendants.look().then((found) => guard.know(found))
    else guard.arm(lease.ending())
  }
}

/**
 * Ends a command with all it started: TERM, and KILL after the grace or when the lease is over, whichever is first.
 * Resolves with what no signal could end, which it says.
 */
export async function endAll({ descendants, guard, lease, say }: Work, graceMillis: number): Promise<ListedProcess[]> {
  const grace = Math.min(graceMillis, lease.ending().killMillis)
  guard.armKill(grace)
  const left = await descendants.end(grace)
  if (left.length > 0) say(`no signal ended these processes, which may go on: ${named(left)}`)
  return left
}

/**
 * Sees to what a command has left running, after its own end. By default that is waited for and ended as late as the
 * lease allows, which is not renewed meanwhile. Resolves with the reason where another ended the lease meanwhile.
 *
 * `stopped` resolves when it is to end at once: at a signal, or when the time of the whole is over. With `waitMillis`
 * the lease is renewed all the same, and that is how long is waited: for what has to be recorded before it is over.
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
  const what = isWaiting ? `they are waited for, for ${seconds} s at most` : 'they are ended'
  say(`the command has ended and left processes at work; ${what}: ${named(left)}`)
  if (isWaiting && (await areGoneBefore(descendants, [stopped, lease.lost], waitMillis))) return undefined
  const { loss } = lease
  const isRobbed = loss !== undefined && loss.code !== 'LEASE_EXPIRED'
  if (isWaiting) say(isRobbed ? `${loss.message}; they are ended` : 'the processes that the command left are ended')
  await endAll(work, lease.graceLeft())
  return isRobbed ? loss : undefined
}

/** Waits until no descendant is left, for so long or until the first of the others comes. */
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
