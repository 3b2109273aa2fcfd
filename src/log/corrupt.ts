import { type Details, LockstepError } from '../errors.ts'

const keepACopy = 'Keep a copy of .lockstep before anything else, then run "lockstep verify".'

/** LEDGER_CORRUPT at an entry, with its seq for the report. */
export function corruptAt(seq: number, what: string): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, { details: { seq }, hint: keepACopy })
}

/** LEDGER_CORRUPT for an entry that should be there. */
export function missing(seq: number): LockstepError {
  return corruptAt(seq, `entry ${seq} is missing`)
}

/** LEDGER_CORRUPT elsewhere than at an entry. */
export function corrupt(what: string, details: Details = {}, cause?: unknown): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, { details, hint: keepACopy, cause })
}
