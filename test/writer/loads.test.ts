import { existsSync, readdirSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { Key } from '../../src/log/log.ts'
import { MemoryLog } from '../../src/log/memory/memory-log.ts'
import { openLedger } from '../../src/open.ts'
import { notLoaded } from '../../src/views/loaded.ts'
import { Receipts } from '../../src/views/receipts.ts'
import { Views } from '../../src/views/views.ts'
import { ConfigInForce } from '../../src/writer/config-in-force.ts'
import { Sequencer } from '../../src/writer/sequencer.ts'
import { acquire } from '../core/lock/steps.ts'
import { refusal, StageClock } from '../ledger/stage.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { sampleMeta } from '../support/log-of.ts'

const loads = suite('loads for decisions')
const clock = new StageClock()

/** A sequencer over a log in memory with delayed loads, and the keys of each load. */
async function counted(): Promise<{ asked: (readonly Key[])[]; log: MemoryLog; sequencer: Sequencer; views: Views }> {
  const log = await MemoryLog.begin(sampleMeta, { delay: true })
  const asked: (readonly Key[])[] = []
  const real = log.load.bind(log)
  log.load = (keys) => {
    asked.push(keys)
    return real(keys)
  }
  const views = new Views(log)
  const parts = {
    config: new ConfigInForce(defaultConfig),
    forked: () => undefined,
    cursors: () => ({}),
    log,
    now: clock.now,
    published: () => {},
    views,
  }
  return { asked, log, sequencer: new Sequencer({ ...parts, receipts: new Receipts(log) }), views }
}

const acquireOf = (name: string) => acquire(name, { lock: name }).command({ now: clock.now(), time: '' } as never)

loads('all rows that the commands of a batch declare come with one load', async () => {
  const { asked, sequencer } = await counted()
  const names = Array.from({ length: 20 }, (_, at) => `resource:a${at}`)
  await Promise.all(names.map((name) => sequencer.submit({ command: acquireOf(name), actor: testActor })))
  const rows = asked.filter((keys) => keys.some(({ view }) => view === 'row'))
  is(rows.length, 1)
  equal(new Set(rows[0]?.map(({ key }) => key)), new Set(['ledger', 'policy', ...names.map((name) => `lock/${name}`)]))
  await Promise.all(names.map((name) => sequencer.submit({ command: acquireOf(`${name}x`), actor: testActor })))
  is(asked.filter((keys) => keys.some(({ view }) => view === 'row')).length, 2, 'what is in memory is not loaded again')
  await sequencer.close()
})

loads('what a decision read and did not find is noted, all rows of state at once', async () => {
  const { asked, views } = await counted()
  const reads = () => {
    for (let at = 0; at < 1_000; at += 1) views.loaded.state(`key ${at}`)
    try {
      return views.loaded.row('audit')
    } catch {
      // What swallows the symbol does not hide the miss.
      return undefined
    }
  }
  is(await views.untilLoaded(reads), undefined)
  equal(
    asked.map((keys) => keys.length),
    [1_001],
  )
  let thrown: unknown
  try {
    views.loaded.row('audit/other')
  } catch (error) {
    thrown = error
  }
  is(thrown, notLoaded)
})

loads('a value that was loaded while others published is not kept', async () => {
  const { views } = await counted()
  const before = views.row('audit')
  views.publish(new Map([['audit', { last_seq: 7, state: null }]]), new Map())
  is(await before, undefined)
  equal(await views.row('audit'), { last_seq: 7, state: null })
})

loads('a ledger in memory needs no folder and leaves none', async () => {
  const ledger = await openLedger({ actor: testActor, engine: 'memory' })
  const { dir } = ledger
  const { token } = await ledger.locks.acquire({ name: 'a', holder: 'x' })
  is((await ledger.log.entry({ seq: token })).type, 'lock.acquired')
  const copy = await ledger.snapshot()
  await ledger.locks.acquire({ name: 'b', holder: 'x' })
  equal([(await copy.head.get()).size + 1, (await ledger.head.get()).size], [token + 2, token + 2])
  await copy.close()
  is((await ledger.log.verify()).size, token + 2)
  ok(existsSync(dir))
  await ledger.close()
  is(existsSync(dir), false)
})

loads('a ledger in memory takes no folder that has a ledger, and empties the one that it took', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, config: { operators: ['BECCA'] }, dir: root, engine: 'memory' })
  equal(ledger.settings.operators, ['BECCA'])
  await refusal(openLedger({ actor: testActor, dir: root, engine: 'memory' }), 'LEDGER_EXISTS')
  await ledger.close()
  equal(readdirSync(root), [])
})

loads.run()
