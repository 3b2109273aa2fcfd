import { LockstepError } from '../errors.ts'

/**
 * This environment variable has the lock_refs of the locks that the commands above hold, the outermost first. A lock_ref
 * is not a secret, and names one grant of one ledger.
 */
const variable = 'LOCKSTEP_LOCK_REFS'
/** The environment keeps at most this many. The outermost is dropped first. */
const refsMax = 64

/** The variable for the environment of a command that runs under one more lock. */
export function withLockRef(lockRef: string): NodeJS.ProcessEnv {
  return { [variable]: [...locksAbove(), lockRef].slice(-refsMax).join(':') }
}

/** The lock_refs of the locks that the commands above this process hold. */
export function locksAbove(): string[] {
  return (process.env[variable] ?? '').split(':').filter((one) => one !== '')
}

/**
 * Whether an acquire was refused because a command above this one holds the lock. That command ends after this one, so
 * a wait for its lock could not end before the lease does.
 */
export function isHeldAbove(error: unknown): error is LockstepError {
  if (!(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION') return false
  const { lock_ref } = error.details
  return typeof lock_ref === 'string' && locksAbove().includes(lock_ref)
}

/** The refusal of such an acquire, which says so. */
export function heldAbove({ details, message }: LockstepError): LockstepError {
  return new LockstepError('LOCK_CONTENTION', `${message}; a command above this one holds it, so waiting is useless`, {
    details,
    hint: 'The command already runs under this lock. Run it without acquiring the lock again.',
  })
}
