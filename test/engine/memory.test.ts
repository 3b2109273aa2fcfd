import { suite } from 'uvu'
import type { Log } from '../../src/log/log.ts'
import { MemoryLog } from '../../src/log/memory/memory-log.ts'
import { memoryStore } from '../../src/log/memory/memory-store.ts'
import { sampleMeta } from '../support/log-of.ts'
import { addEngineCases } from './engine-suite.ts'
import { FailingWrites } from './failing-writes.ts'

for (const delay of [false, true]) {
  const engine = suite(`the engine in memory${delay ? ', with delayed loads' : ''}`)
  const writes = new Map<Log, FailingWrites>()
  addEngineCases(engine, {
    begin: async () => {
      const failing = new FailingWrites()
      const log = await MemoryLog.begin(sampleMeta, { delay, store: failing.around(memoryStore()) })
      writes.set(log, failing)
      return log
    },
    failNextWrite: (log, when) => writes.get(log)?.failNext(when),
    // Its content is gone with it.
    reopened: async () => undefined,
  })
  engine.run()
}
