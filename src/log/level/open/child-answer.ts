import { LockstepError, messageOf } from '../../../errors.ts'
import { failureOf, isOfTheMachine } from '../../failure.ts'

/** Does the work of a child process and prints the outcome as the single line that `runChild` reads. */
export async function answer(work: () => Promise<unknown>): Promise<void> {
  const outcome = await work().then(
    (value) => ({ value }),
    (error: unknown) => ({ problem: problemOf(error) }),
  )
  process.stdout.write(`answer ${JSON.stringify(outcome)}\n`)
}

function problemOf(error: unknown) {
  const { code, message, details, hint } = asOurs(error)
  return { code, message, details, hint }
}

function asOurs(error: unknown): LockstepError {
  if (error instanceof LockstepError) return error
  if (isOfTheMachine(error)) return failureOf('reading the database', error)
  return new LockstepError('INVARIANT_VIOLATED', messageOf(error))
}
