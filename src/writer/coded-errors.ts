import { fileError, isOfSystem } from '../disk/durable.ts'
import { LockstepError, messageOf } from '../errors.ts'

/** Converts any thrown value to a LockstepError: a file error for a failed file step, INVARIANT_VIOLATED for a defect. */
export function codedError(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error
  if (isOfSystem(error)) return fileError(error, doing)
  return new LockstepError('INVARIANT_VIOLATED', `${doing}: ${messageOf(error)}`, { cause: error })
}
