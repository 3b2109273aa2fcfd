import { LockstepError } from '../../../errors.ts'
import type { OpenOwner, Owner } from '../owner/owner.ts'

/** LEDGER_SERVED: the owner is a service, which others call. */
export function servedBy(owner: OpenOwner): LockstepError {
  return new LockstepError('LEDGER_SERVED', `${nameOf(owner)} serves the ledger`, {
    details: { outcome: 'not_applied', ...factsOf(owner) },
    hint: 'To call the service, use connect(). To open the ledger in this process, end the service first.',
  })
}

/** LEDGER_UNAVAILABLE: the owner did not close the ledger in time. */
export function busy(openWaitSeconds: number, owner: Owner | undefined): LockstepError {
  const isOpen = owner?.state === 'open'
  return new LockstepError(
    'LEDGER_UNAVAILABLE',
    `${isOpen ? nameOf(owner) : 'another process'} kept the ledger open for all of ${openWaitSeconds} s`,
    {
      details: { outcome: 'not_applied', busy: true, ...(isOpen ? factsOf(owner) : {}) },
      hint: 'Wait longer with `open_wait_s`, or end that process.',
    },
  )
}

const nameOf = ({ command, pid, since }: OpenOwner) => `process ${pid} (${command}, since ${since})`
const factsOf = ({ command, pid, since }: OpenOwner) => ({ owner_pid: pid, owner_command: command, owner_since: since })
