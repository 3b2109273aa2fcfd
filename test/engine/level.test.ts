import { mkdirSync } from 'node:fs'
import { suite } from 'uvu'
import { layoutOf } from '../../src/disk/layout.ts'
import { createLog, openLog } from '../../src/log/engines.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import type { Log } from '../../src/log/log.ts'
import { makeHome } from '../../src/nouns/home.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { sampleMeta } from '../support/log-of.ts'
import { addEngineCases } from './engine-suite.ts'
import { FailingWrites } from './failing-writes.ts'

const engine = suite('the engine of LevelDB')
const opened = new Map<Log, { root: string; writes: FailingWrites }>()

async function open(root: string): Promise<Log> {
  const writes = new FailingWrites()
  const { log } = await openLog({
    command: 'test',
    // The suite's entries name no key, so no head can be signed.
    acceptsMissingHead: true,
    isAdopting: true,
    isExpendable: true,
    layout: layoutOf(root),
    nonce: () => 'test',
    openWaitSeconds: 5,
    wrapStore: (store: Store) => writes.around(store),
  })
  opened.set(log, { root, writes })
  return log
}

addEngineCases(engine, {
  begin: async () => {
    const root = temporaryRoot()
    const layout = layoutOf(root)
    mkdirSync(layout.home, { mode: 0o700 })
    await makeHome(layout.home, { origin: sampleMeta.origin })
    await createLog(layout, sampleMeta, { fill: async () => {} })
    return open(root)
  },
  failNextWrite: (log, when) => opened.get(log)?.writes.failNext(when),
  reopened: async (log) => {
    await log.close()
    return open(opened.get(log)?.root ?? '')
  },
})
engine.run()
