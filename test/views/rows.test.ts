import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Row } from '../../src/kernel/decider.ts'
import { limits } from '../../src/kernel/limits.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { Views } from '../../src/views/views.ts'
import { logOf, sampleEntries } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { randomBelow } from '../support/seed.ts'
import { withLimit } from './generated.ts'

const rows = suite('published rows')
const random = randomBelow('rows')

/** Rows over a log of some streams, and the keys of the rows that were read from its store. */
async function readable(streams = 40): Promise<{ view: Views; reads: string[] }> {
  const { log, store } = await logOf(sampleEntries(200, streams), { store: new MemoryStore() })
  const reads: string[] = []
  const get = store.get.bind(store)
  store.get = (key) => {
    if (keys.kindOf(key) === 'row') reads.push(keys.nameOfRowKey(key))
    return get(key)
  }
  return { view: new Views(log), reads }
}

rows('cost one read the first time and none after it, also where there is none', async () => {
  const { view, reads } = await readable()
  for (let time = 0; time < 3; time += 1) {
    ok((await view.row('audit/1')) !== undefined)
    is(await view.row('audit/nobody'), undefined)
  }
  equal(reads, ['audit/1', 'audit/nobody'])
  view.clear()
  await view.row('audit/1')
  is(reads.length, 3)
})

rows('are what was published last, without a read', async () => {
  const { view, reads } = await readable()
  const before = await view.row('audit/1')
  const after: Row = { last_seq: 999, state: null }
  view.publish(new Map([['audit/1', after]]), new Map())
  equal([await view.row('audit/1'), before?.last_seq === 999], [after, false])
  view.publish(new Map([['lock/resource:new', after]]), new Map())
  equal(await view.row('lock/resource:new'), after)
  equal(reads, ['audit/1'])
})

rows('in use stay in memory when it is full, and what goes is read again as it is stored', () =>
  withLimit(limits, 'rowCacheMax', 16, async () => {
    const { view, reads } = await readable()
    const model = new Map<string, number | undefined>()
    for (let time = 0; time < 2_000; time += 1) {
      is((await view.row('audit/0'))?.last_seq, (await view.row('audit/0'))?.last_seq)
      const stream = `audit/${1 + random(50)}`
      const seq = (await view.row(stream))?.last_seq
      if (model.has(stream)) is(seq, model.get(stream))
      model.set(stream, seq)
    }
    is(reads.filter((stream) => stream === 'audit/0').length, 1, 'what is always in use is read once')
    ok(reads.length > 500 && reads.length < 2_000, `${reads.length} reads`)
  }),
)

rows.run()
