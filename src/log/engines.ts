import type { Layout } from '../disk/layout.ts'
import { fingerprint } from './level/files.ts'
import { LevelLog } from './level/level-log.ts'
import { writeOwner } from './level/owner/owner.ts'
import { openStore } from './level/store.ts'
import type { Log, NewMeta } from './log.ts'

// The one place that chooses an engine.

export { keepFirstHead } from './level/first-head.ts'
export { openLog } from './level/open/open.ts'
export { MemoryLog } from './memory/memory-log.ts'
export { SharedLog } from './postgres/shared.ts'

/**
 * Creates a database in an empty folder, fills it, and closes it. It is recorded as cleanly closed, so that the first
 * open does not have to check it.
 */
export async function createLog(
  { ledger, owner }: Pick<Layout, 'ledger' | 'owner'>,
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
