import { layoutOf } from '../../src/disk/layout.ts'
import type { LevelLog } from '../../src/log/level/level-log.ts'
import { openLog } from '../../src/log/level/open/open.ts'

/** The log of a ledger that nobody has open, for the time of the work: what is below the ledger’s surface. */
export async function withLog<T>(root: string, work: (log: LevelLog) => Promise<T>): Promise<T> {
  const layout = layoutOf(root)
  const log = await openLog({ layout, openWaitSeconds: 30, command: 'test', nonce: () => 'test', isExpendable: true })
  try {
    return await work(log)
  } finally {
    await log.close()
  }
}
