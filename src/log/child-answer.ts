import { LockstepError, messageOf } from '../errors.ts'

/** Runs the work of a child process and prints its outcome as the one line that `runChild` takes. */
export async function answer(work: () => Promise<unknown>): Promise<void> {
  const outcome = await work().then(
    (value) => ({ value }),
    (error: unknown) => ({ problem: problemOf(error) }),
  )
  process.stdout.write(`answer ${JSON.stringify(outcome)}\n`)
}

function problemOf(error: unknown) {
  if (!(error instanceof LockstepError)) return { code: 'LEDGER_CORRUPT', message: messageOf(error), details: {} }
  const { code, message, details, hint } = error
  return { code, message, details, hint }
}
