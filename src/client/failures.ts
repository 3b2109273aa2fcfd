import type { Problem } from '../api/wire.ts'
import { codes, LockstepError, messageOf } from '../errors.ts'

/** Whether a failed call took effect: `not_applied` only if the request was never sent, or if the service says so. */
export type RequestOutcome = 'not_applied' | 'unknown'

/** The service cannot be reached, or its answer was lost. */
export function unreachable(place: string, outcome: RequestOutcome, cause: unknown): LockstepError {
  const what = outcome === 'not_applied' ? 'no service answers' : 'the answer was lost'
  return new LockstepError('LEDGER_UNAVAILABLE', `${place}: ${what} (${messageOf(cause)})`, {
    details: { outcome },
    ...(outcome === 'not_applied' ? { hint: 'Start the service with "lockstep serve", or connect with `start`.' } : {}),
    cause,
  })
}

/** The error that a problem document describes: the same as in the process of the ledger. */
export function errorOf(problem: unknown, place: string): LockstepError {
  const { code, detail, details, hint } = Object(problem) as Partial<Problem>
  if (typeof code !== 'string' || typeof detail !== 'string') {
    return unreachable(place, 'unknown', new Error('the answer is not one of Lockstep'))
  }
  const context = { details: { ...details }, ...(hint === undefined ? {} : { hint }) }
  if (Object.hasOwn(codes, code)) return new LockstepError(code, detail, context)
  const message = `${place} answered with a code that this version does not know: ${code}: ${detail}`
  return new LockstepError('INVARIANT_VIOLATED', message, context)
}

/** ABORTED for a call whose signal has aborted. */
export function aborted(name: string, outcome: RequestOutcome): LockstepError {
  return new LockstepError('ABORTED', `${name}: the caller's signal has aborted`, { details: { outcome } })
}

/** LEDGER_CLOSED for a call of a client that was closed. */
export function closedClient(outcome: RequestOutcome): LockstepError {
  return new LockstepError('LEDGER_CLOSED', 'the connection to the service was closed', { details: { outcome } })
}
