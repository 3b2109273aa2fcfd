import { randomInt } from 'node:crypto'
import { LockstepError } from '../errors.ts'

const pauseMillisMin = 50
const pauseMillisMax = 250

/**
 * Tries an acquisition again and again until it is not contended, for at most so many seconds. Without a service
 * nobody may keep the ledger open, so waiting is polling; every try has the same lock_id. Errors: TIMED_OUT.
 */
export async function untilFree<T>(attempt: () => Promise<T>, waitSeconds: number): Promise<T> {
  const until = performance.now() + waitSeconds * 1000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION' || waitSeconds === 0) throw error
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
