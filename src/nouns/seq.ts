import { LockstepError } from '../errors.ts'

/** Whether a number can be the seq of an entry, or the size of a tree. */
export function isSeq(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/** NOT_FOUND for a seq past the end. */
export function notFound(seq: number, size: number): LockstepError {
  return new LockstepError('NOT_FOUND', `there is no entry ${seq}; the ledger has ${size} entries`, {
    details: { seq, size },
  })
}
