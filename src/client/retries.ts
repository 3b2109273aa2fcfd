import { LockstepError } from '../errors.ts'
import { onAbort } from '../kernel/abort.ts'
import { limits } from '../kernel/limits.ts'

/** How a call that failed is tried again. */
export interface Retry<T> {
  /** Whether the call may be sent again after its answer was lost. */
  isRepeatable: boolean
  /** Sends the call again. */
  send: () => Promise<T>
  /** No further attempt is made after this aborts. */
  signal: AbortSignal
  /** Starts the service, if no service answers. Called before a call that was not sent is tried again. */
  revive?: (() => Promise<unknown>) | undefined
}

/** Codes that say that the service is not there now, is about to end, does not write the ledger, or has too much to do. */
const passing: ReadonlySet<string> = new Set([
  'LEDGER_CLOSED',
  'LEDGER_MOVED',
  'LEDGER_UNAVAILABLE',
  'NOT_WRITER',
  'QUEUE_FULL',
  'RATE_LIMITED',
])
/** Those that always mean that nothing was done. */
const refused: ReadonlySet<string> = new Set(['QUEUE_FULL', 'RATE_LIMITED'])

/**
 * Tries a call again that failed because of the service and not because of its content, for a limited time and with
 * growing pauses. A call whose outcome is unknown is sent again only if it is repeatable. Rejects with the last error;
 * its outcome is unknown if that of any attempt was.
 */
export async function retried<T>(failure: unknown, { isRepeatable, revive, send, signal }: Retry<T>): Promise<T> {
  const until = performance.now() + limits.retryMillisMax
  let error = failure
  let isUnknown = false
  let millis: number = limits.retryPauseMillis
  for (; performance.now() + millis < until; millis = Math.min(millis * 2, limits.retryPauseMillisMax)) {
    if (!isPassing(error, isRepeatable) || signal.aborted) break
    isUnknown ||= error.details.outcome === 'unknown'
    await pause(millis, signal)
    if (signal.aborted) break
    try {
      await revive?.()
      return await send()
    } catch (again) {
      error = again
    }
  }
  throw isUnknown ? withOutcomeUnknown(error) : error
}

/** An earlier attempt may have taken effect, whatever became of the last one. */
function withOutcomeUnknown(error: unknown): unknown {
  if (!(error instanceof LockstepError) || !(refused.has(error.code) || error.details.outcome === 'not_applied'))
    return error
  const { cause, code, details, message } = error
  return new LockstepError(code, message, { cause, details: { ...details, outcome: 'unknown' } })
}

function isPassing(error: unknown, isRepeatable: boolean): error is LockstepError {
  if (!(error instanceof LockstepError) || !passing.has(error.code)) return false
  return isRepeatable || refused.has(error.code) || error.details.outcome === 'not_applied'
}

function pause(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      stopListening()
      resolve()
    }
    const timer = setTimeout(done, millis)
    const stopListening = onAbort(signal, done)
  })
}
