import { LockstepError } from '../errors.ts'
import type { Refusal } from '../kernel/decider.ts'
import type { Waiter } from './submission.ts'

/** The error after an unsuccessful wait, with the contention report of the lock. */
export function gaveUp(
  code: 'ABORTED' | 'TIMED_OUT',
  { details, message }: Pick<Refusal, 'details' | 'message'>,
  waitMillis: number,
): LockstepError {
  const seconds = Math.round(waitMillis / 1000)
  const why = code === 'TIMED_OUT' ? `it did not become free within ${seconds} s` : 'the caller gave up waiting'
  return new LockstepError(code, `${message}; ${why}`, { details, hint: 'Retry with the same lock_id.' })
}

/** If the contention was to be recorded, its timeout is recorded too, under the code of the answer. */
export function recordOfWaiting(
  { refusal: { record } }: Waiter,
  { code, message }: LockstepError,
): Pick<Refusal, 'record'> {
  if (record === undefined || code !== 'TIMED_OUT') return {}
  return { record: { ...record, data: { ...record.data, code, message } } }
}
