import { isDeepStrictEqual } from 'node:util'
import type { Layout } from '../../../disk/layout.ts'
import { LockstepError } from '../../../errors.ts'
import { fingerprint } from '../files.ts'
import type { Guard } from '../owner/guard.ts'
import { type Owner, readOwner } from '../owner/owner.ts'
import { readWal, type Wal, type WalOptions } from '../wal/wal.ts'

const stillMillis = 50

/**
 * Whether owner file and database stay the same for a moment. A process that had just opened the database would change
 * the owner file within that time.
 */
export async function isStill(layout: Layout, owner: Owner | undefined, met: Record<string, string>): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, stillMillis))
  return isDeepStrictEqual([readOwner(layout.owner), fingerprint(layout.ledger)], [owner, met])
}

interface Met {
  met: Record<string, string>
  options: WalOptions
  owner: Owner | undefined
}

/** Like `readWal`, but reads again before it reports damage: the ledger may have been moved away and back. */
export async function readWalTwice(layout: Layout, { met, options, owner }: Met): Promise<Wal> {
  try {
    return readWal(layout.ledger, options)
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'LEDGER_CORRUPT') throw error
    if (!(await isStill(layout, owner, met))) throw error
    return readWal(layout.ledger, options)
  }
}

/** Whether the guarded ledger is in its place. Also false if that cannot be checked, so that nothing is written there. */
export function isInPlaceForSure(guard: Guard): boolean {
  try {
    return guard.isInPlace()
  } catch {
    return false
  }
}
