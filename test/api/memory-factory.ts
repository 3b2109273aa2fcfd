import { openLedger } from '../../src/open.ts'
import { caseWork } from '../support/case-work.ts'
import type { ApiFactory } from './stage.ts'

/** A ledger in memory whose every load answers one turn of the event loop later. */
export const memoryFactory: ApiFactory = async ({ actor, config, dir, now }) => {
  const ledger = await openLedger({
    actor,
    config,
    delay: true,
    dir,
    engine: 'memory',
    now,
    policy: false,
    self_check: true,
  })
  caseWork(dir)
  return { ledger: ledger, close: () => ledger.close() }
}
