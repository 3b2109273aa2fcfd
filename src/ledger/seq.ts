import { LockstepError } from '../errors.ts'

/** Whether a number can be the seq of an entry, or the size of a tree. */
export function isSeq(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/** Errors: INVALID_INPUT, for a seq of a caller's that none can be. */
export function assertSeq(what: string, value: number): void {
  if (!isSeq(value)) throw new LockstepError('INVALID_INPUT', `${what} must be a seq from 0 on, not ${value}`)
}

/** NOT_FOUND, of a seq past the end. */
export function notFound(seq: number, size: number): LockstepError {
  return new LockstepError('NOT_FOUND', `there is no entry ${seq}; the ledger has ${size}`, { details: { seq, size } })
}
