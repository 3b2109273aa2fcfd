import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { logOf, sampleEntries } from '../support/log-of.ts'

const verification = suite('entries and their schemas')

/** What a verification says of a log whose maker changed one entry and derived everything else from the result. */
async function findingOf(change: (entry: Entry) => unknown): Promise<unknown> {
  const textOf = (entry: Entry) => JSON.stringify(entry.seq === 300 ? change(entry) : entry)
  const { log } = await logOf(sampleEntries(400), { textOf })
  try {
    return (await verifyLog(log, layoutOf(temporaryRoot()), defaultConfig)).entries
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return [error.code, error.details.check, error.details.seq]
  } finally {
    await log.close()
  }
}

verification('entries as the ledger writes them match', async () => {
  is(await findingOf((entry) => entry), 400)
})

verification('an entry that does not match its schema and version is found, with its seq', async () => {
  const changes: readonly ((entry: Entry) => unknown)[] = [
    (entry) => ({ ...entry, type: 'audit.unheard_of' }),
    (entry) => ({ ...entry, type: 'constructor' }),
    (entry) => ({ ...entry, contract_version: 'v2' }),
    (entry) => ({ ...entry, actor: { ...entry.actor, actor_type: 'robot' } }),
    (entry) => ({ ...entry, data: { ...entry.data, outcome: 'maybe' } }),
    (entry) => ({ ...entry, data: { ...entry.data, zz_unknown: 1 } }),
    (entry) => ({ ...entry, policy_versions: { lanes: 'UNPINNED' } }),
    (entry) => ({ ...entry, zz_unknown: 'v1' }),
    (entry) => ({ ...entry, prev: { stream: 'audit' } }),
  ]
  for (const change of changes) {
    equal(await findingOf(change), ['VERIFY_FAILED', 'schema', 300], String(change))
  }
})

verification.run()
