import { LockstepError, messageOf } from '../errors.ts'

/** Why nobody is answered any more, and what became of the request: never written, or nobody knows. */
export function unavailable(cause: unknown, outcome: 'not_applied' | 'unknown'): LockstepError {
  if (cause instanceof LockstepError && cause.code === 'LEDGER_MOVED') return moved(cause, outcome)
  const isKnown = cause instanceof LockstepError && cause.code !== 'LEDGER_UNAVAILABLE'
  return new LockstepError(isKnown ? cause.code : 'LEDGER_UNAVAILABLE', `the writer has stopped: ${messageOf(cause)}`, {
    details: { ...(isKnown ? cause.details : {}), outcome },
    hint: 'Open the ledger again: that decides what was written. Then repeat the request under the same key.',
    cause,
  })
}

/** Nothing was written where that was seen before the write; otherwise it is as unknown as after any failed write. */
function moved({ cause, details, hint, message }: LockstepError, outcome: 'not_applied' | 'unknown'): LockstepError {
  const isUnwritten = details.outcome === 'not_applied' || outcome === 'not_applied'
  const context = { details: { ...details, outcome: isUnwritten ? 'not_applied' : 'unknown' }, cause }
  return new LockstepError('LEDGER_MOVED', message, hint === undefined ? context : { ...context, hint })
}
