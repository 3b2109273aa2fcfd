import { LockstepError, messageOf } from '../errors.ts'

/** The error after the writer stopped, and what happened to the request: it was not written, or that is unknown. */
export function unavailable(cause: unknown, outcome: 'not_applied' | 'unknown'): LockstepError {
  if (cause instanceof LockstepError && (cause.code === 'LEDGER_MOVED' || cause.code === 'NOT_WRITER')) {
    return moved(cause, outcome)
  }
  const isKnown = cause instanceof LockstepError && cause.code !== 'LEDGER_UNAVAILABLE'
  return new LockstepError(isKnown ? cause.code : 'LEDGER_UNAVAILABLE', `the writer has stopped: ${messageOf(cause)}`, {
    details: { ...(isKnown ? cause.details : {}), outcome },
    hint: 'Open the ledger again, which settles what was written. Then repeat the request with the same key.',
    cause,
  })
}

/**
 * The ledger was moved, or another node writes it. If that was noticed before the write, nothing was written. Otherwise
 * the outcome is unknown, as after any failed write.
 */
function moved(
  { cause, code, details, hint, message }: LockstepError,
  outcome: 'not_applied' | 'unknown',
): LockstepError {
  const isUnwritten = details.outcome === 'not_applied' || outcome === 'not_applied'
  const context = { details: { ...details, outcome: isUnwritten ? 'not_applied' : 'unknown' }, cause }
  return new LockstepError(code, message, hint === undefined ? context : { ...context, hint })
}

/** The error of commands that a closed ledger no longer decides. */
export function ledgerClosed(): LockstepError {
  return new LockstepError('LEDGER_CLOSED', 'the ledger was closed', {
    details: { outcome: 'not_applied' },
    hint: 'Open it again; a waiting acquire is retried with the same lock_id.',
  })
}

export function queueFull(commands: number): LockstepError {
  return new LockstepError('QUEUE_FULL', `${commands} commands are waiting to be decided`)
}
