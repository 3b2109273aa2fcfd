import { type Details, LockstepError } from '../errors.ts'

const keepACopy = 'Keep a copy of .lockstep before anything else, then run "lockstep verify".'

/** LEDGER_CORRUPT at an entry, with its seq for the report. */
export function corruptAt(seq: number, what: string): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, { details: { check: 'entries', seq }, hint: keepACopy })
}

/** LEDGER_CORRUPT for an entry that should be there. */
export function missing(seq: number): LockstepError {
  return corruptAt(seq, `entry ${seq} is missing`)
}

/** LEDGER_CORRUPT elsewhere than at an entry. */
export function corrupt(what: string, details: Details = {}, cause?: unknown): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, { details, hint: keepACopy, cause })
}

/** What a verification compares, by the name its report gives. */
export type Check =
  | 'bytes'
  | 'chain'
  | 'entries'
  | 'event_id'
  | 'head'
  | 'head_file'
  | 'index'
  | 'leaves'
  | 'objects'
  | 'origin'
  | 'receipts'
  | 'requests'
  | 'root'
  | 'rows'
  | 'runs'
  | 'state'
  | 'stray'
  | 'tables'
  | 'tiles'
  | 'time'

const derived: ReadonlySet<Check> = new Set(['index', 'receipts', 'rows', 'state'])
const differenceHint =
  'Keep a copy of .lockstep before anything else; what was found is a difference, and nothing was changed.'
const derivedHint = `${differenceHint} These are derived from the entries: "lockstep verify --rebuild" derives them anew.`

/** VERIFY_FAILED: something can be read, and is not what it must be. Details: `check`, and `seq` where there is one. */
export function differs(check: Check, what: string, details: Details = {}): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, {
    details: { check, ...details },
    hint: derived.has(check) ? derivedHint : differenceHint,
  })
}
