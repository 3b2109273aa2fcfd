import { type Details, LockstepError } from '../errors.ts'

const keepACopy = 'First make a copy of .lockstep, then run "lockstep verify".'

/** LEDGER_CORRUPT at an entry. The details contain its seq. */
export function corruptAt(seq: number, what: string): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, { details: { check: 'entries', seq }, hint: keepACopy })
}

/** LEDGER_CORRUPT for a missing entry. */
export function missing(seq: number): LockstepError {
  return corruptAt(seq, `entry ${seq} is missing`)
}

/** LEDGER_CORRUPT for anything other than an entry. */
export function corrupt(what: string, details: Details = {}, cause?: unknown): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, { details, hint: keepACopy, cause })
}

/** The checks of a verification, by the names that reports use. */
export type Check =
  | 'approvals'
  | 'bytes'
  | 'canonical'
  | 'chain'
  | 'config'
  | 'entries'
  | 'erasures'
  | 'event_id'
  | 'head'
  | 'head_file'
  | 'index'
  | 'keys'
  | 'leaves'
  | 'objects'
  | 'origin'
  | 'paths'
  | 'receipts'
  | 'requests'
  | 'root'
  | 'rows'
  | 'runs'
  | 'schema'
  | 'seal'
  | 'state'
  | 'stray'
  | 'tables'
  | 'texts'
  | 'tiles'
  | 'time'
  | 'tokens'

const derived: ReadonlySet<Check> = new Set(['index', 'receipts', 'rows', 'state'])
const differenceHint = 'First make a copy of .lockstep. The verification found a difference and changed nothing.'
const derivedHint = `${differenceHint} This data is derived from the entries. To derive it again, run "lockstep verify --rebuild".`

/**
 * VERIFY_FAILED: the data is readable but has the wrong content. The details contain `check` and, where known, `seq`.
 */
export function differs(check: Check, what: string, details: Details = {}): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, {
    details: { check, ...details },
    hint: derived.has(check) ? derivedHint : differenceHint,
  })
}
