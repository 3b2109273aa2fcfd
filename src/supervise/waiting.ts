import { randomInt } from 'node:crypto'
import { LockstepError } from '../errors.ts'
import { heldAbove, isHeldAbove } from './locks-above.ts'

/** The longest delay of a Node timer. A longer delay would fire at once. */
const timerMillisMax = 2 ** 31 - 1

/** Calls back after `millis` milliseconds, without an upper limit. The returned function stops the timer. */
export function startTimer(millis: number, done: () => void): () => void {
  const until = performance.now() + millis
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    const left = until - performance.now()
    timer = left > timerMillisMax ? setTimeout(wait, timerMillisMax) : setTimeout(done, left)
  }
  wait()
  return () => clearTimeout(timer)
}

const pauseMillisMin = 50
const pauseMillisMax = 250

/**
 * Retries an acquisition until the lock is free, for at most `waitSeconds`. No process may keep the ledger open while
 * it waits, so the wait is a poll. Every attempt uses the same lock_id. A lock that a command above this one holds is
 * not waited for. Errors: TIMED_OUT.
 */
export async function untilFree<T>(attempt: () => Promise<T>, waitSeconds: number): Promise<T> {
  const until = performance.now() + waitSeconds * 1000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (isHeldAbove(error)) throw heldAbove(error)
      const isContention = error instanceof LockstepError && error.code === 'LOCK_CONTENTION' && error.retryable
      if (!isContention || waitSeconds === 0) throw error
      const left = until - performance.now()
      if (left <= 0) {
        throw new LockstepError('TIMED_OUT', `${error.message}; it did not become free within ${waitSeconds} s`, {
          details: error.details,
        })
      }
      const pause = randomInt(pauseMillisMin, pauseMillisMax)
      await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)))
    }
  }
}
