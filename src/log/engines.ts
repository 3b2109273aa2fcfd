import { fingerprint } from './level/files.ts'
import { LevelLog } from './level/level-log.ts'
import { writeOwner } from './level/owner/owner.ts'
import { openStore } from './level/store.ts'
import type { Log, NewMeta } from './log.ts'

// The one place that chooses an engine.

export { openLog } from './level/open/open.ts'
export { MemoryLog } from './memory/memory-log.ts'

/** Where a ledger's database is created, and the owner file beside it. */
interface Place {
  ledger: string
  owner: string
}

/**
 * Creates a database in an empty folder, fills it, and closes it. It is recorded as cleanly closed, so that the first
 * open does not have to check it.
 */
export async function createLog(
  { ledger, owner }: Place,
  meta: NewMeta,
  fill: (log: Log) => Promise<void>,
): Promise<void> {
  const store = await openStore(ledger, { create: true })
  try {
    await fill(await LevelLog.create(store, meta))
    writeOwner(owner, { state: 'closed', files: fingerprint(ledger) })
  } finally {
    await store.close()
  }
}
