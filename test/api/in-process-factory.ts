import { layoutOf } from '../../src/disk/layout.ts'
import { fingerprint } from '../../src/log/level/files.ts'
import { writeOwner } from '../../src/log/level/owner/owner.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { openLedger } from '../../src/open.ts'
import { caseWork } from '../support/case-work.ts'
import type { ApiFactory } from './stage.ts'

/** A ledger of LevelDB in this process. */
export const inProcessFactory: ApiFactory = async ({ actor, config, dir, now }) => {
  await createLedger({ dir, actor, config })
  caseWork(dir)
  // Noted as a close notes it, so that the first open has no doubts and starts no process to check the database.
  const layout = layoutOf(dir)
  writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
  const ledger = await openLedger({ actor, dir, now, self_check: true })
  return { ledger, close: () => ledger.close() }
}
