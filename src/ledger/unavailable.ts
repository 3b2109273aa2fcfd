import { LockstepError, messageOf } from '../errors.ts'

/** Why nobody is answered any more, and what became of the request: never written, or nobody knows. */
export function unavailable(cause: unknown, outcome: 'not_applied' | 'unknown'): LockstepError {
  const isKnown = cause instanceof LockstepError && cause.code !== 'LEDGER_UNAVAILABLE'
  return new LockstepError(isKnown ? cause.code : 'LEDGER_UNAVAILABLE', `the writer has stopped: ${messageOf(cause)}`, {
    details: { ...(isKnown ? cause.details : {}), outcome },
    hint: 'Open the ledger again: that decides what was written. Then repeat the request under the same key.',
    cause,
  })
}
