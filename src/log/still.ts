import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../errors.ts'
import type { Layout } from '../fs/layout.ts'
import { type Owner, readOwner } from '../fs/owner.ts'
import { fingerprint } from './files.ts'
import { readWal, type Wal } from './wal.ts'

/** What an attempt to open met. */
export interface Met {
  met: Record<string, string>
  owner: Owner | undefined
}

const stillMillis = 50

/**
 * Whether owner file and database are the same after a moment in which a process that just opened the database would
 * have named itself.
 */
export async function isStill({ ledger, owner: path }: Layout, { met, owner }: Met): Promise<boolean> {
  await pause(stillMillis)
  return isDeepStrictEqual([readOwner(path), fingerprint(ledger)], [owner, met])
}

/**
 * Reads the logs again before anything is called damaged: the ledger may have been away for a moment, moved and put back.
 * Errors: those of `readWal`.
 */
export async function readWalTwice(
  layout: Layout,
  { isSameBoot, ...found }: Met & { isSameBoot: boolean },
): Promise<Wal> {
  try {
    return readWal(layout.ledger, { isSameBoot })
  } catch (error) {
    const isDamage = error instanceof LockstepError && error.code === 'LEDGER_CORRUPT'
    if (!isDamage || !(await isStill(layout, found))) throw error
    return readWal(layout.ledger, { isSameBoot })
  }
}
