import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { storedRow } from '../../src/domain/aggregates.ts'
import { LockstepError } from '../../src/errors.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { encode } from '../../src/log/keyed/rows/codec.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { putView } from '../../src/log/keyed/view-write.ts'
import { ReceiptComparison, RowComparison } from '../../src/verify/compare-rows.ts'
import { Views } from '../../src/views/views.ts'
import { logOf, sampleEntries } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { randomBelow } from '../support/seed.ts'
import { writtenOver } from './generated.ts'

const compare = suite('the comparison of the views with the entries')
const random = randomBelow('compare')

/** As a verification does it: all entries and all rows, as often as there are passes. Returns how many. */
async function compareRows(store: MemoryStore, rowsMax?: number): Promise<number> {
  const log = KeyedLog.open(store)
  const rows = new RowComparison(store, log.head(), rowsMax)
  for (let passes = 1; ; passes += 1) {
    for await (const page of log.entries(0)) for (const entry of page) rows.entry(entry)
    for await (const page of store.scan(keys.ranges.rows(log.head().generation, ''))) {
      for (const [key, value] of page) rows.row(key, value)
    }
    if (!rows.endPass()) return passes
  }
}

async function compareReceipts(store: MemoryStore): Promise<void> {
  const log = KeyedLog.open(store)
  const receipts = new ReceiptComparison(store, log.head())
  for await (const page of log.entries(0)) for (const entry of page) receipts.entry(entry)
  receipts.end({ receipts: [...store.pairs.keys()].filter((key) => key.startsWith('69')).length })
}

/** What a comparison says is wrong, and where; nothing where all is well. */
async function findingOf(work: Promise<unknown>): Promise<{ check: unknown; seq: unknown; stream?: unknown }> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    is(error.code, 'VERIFY_FAILED')
    const { check, seq, stream } = error.details
    return stream === undefined ? { check, seq } : { check, seq, stream }
  }
  throw new Error('nothing was found')
}

/** A log of every kind of row. */
async function sample(): Promise<{ log: KeyedLog; store: MemoryStore }> {
  const store = new MemoryStore()
  const { go, log, sequencer } = await writtenOver(store, random)
  await go(2_500)
  await sequencer.close()
  return { log, store }
}

compare('finds nothing wrong in views that appends wrote', async () => {
  const { store } = await sample()
  is(await compareRows(store), 1)
  await compareReceipts(store)
})

compare('names the stream of any missing or different row', async () => {
  const { log, store } = await sample()
  const streams: string[] = []
  for await (const [stream] of new Views(log).rows('')) streams.push(stream)
  ok(streams.length > 100)
  for (let time = 0; time < 12; time += 1) await findEach(log, store, streams[random(streams.length)] ?? '')
})

compare('does so in several passes if only few rows fit into memory', async () => {
  const streams = 9_000
  const { log, store } = await logOf(sampleEntries(2 * streams, streams), { store: new MemoryStore() })
  is(await compareRows(store), 1)
  ok((await compareRows(store, 2_000)) > 1)
  const gone = store.copy()
  for (let stream = 0; stream < streams; stream += 1) gone.delete(keys.rowKey(1, `audit/${stream}`))
  equal(await findingOf(compareRows(gone)), { check: 'rows', seq: streams, stream: 'audit/0' })
  is((await findingOf(compareRows(gone, 500))).check, 'rows')
  await findEach(log, store, `audit/${random(streams)}`, 500)
})

/** A row that is missing, one that says something else, and an older one. */
async function findEach(log: KeyedLog, store: MemoryStore, stream: string, rowsMax?: number): Promise<void> {
  const row = await new Views(log).row(stream)
  const finding = { check: 'rows', seq: row?.last_seq, stream }
  const missing = store.copy()
  missing.delete(keys.rowKey(1, stream))
  equal(await findingOf(compareRows(missing, rowsMax)), finding)
  const [changed, older] = [store.copy(), store.copy()]
  await changed.write(rowOf(stream, { last_seq: row?.last_seq ?? 0, state: { nothing: 'of the kind' } }))
  equal(await findingOf(compareRows(changed, rowsMax)), finding)
  const { state } = storedRow(stream, row ?? { last_seq: 0, state: null })
  await older.write(rowOf(stream, { last_seq: (row?.last_seq ?? 0) - 1, state }))
  equal(await findingOf(compareRows(older, rowsMax)), finding)
}

/** A row as it is given, whether its stream's aggregate would store it so or not. */
function rowOf(stream: string, value: { last_seq: number; state: unknown }) {
  const key = keys.rowKey(1, stream)
  return { puts: [{ key, value: encode(key, value) }], deletes: [] }
}

compare('names the wrong row whose stream went wrong first', async () => {
  const { log, store } = await sample()
  const rows: { stream: string; seq: number }[] = []
  for await (const [stream, { last_seq }] of new Views(log).rows('')) rows.push({ stream, seq: last_seq })
  for (const { stream } of rows) store.delete(keys.rowKey(1, stream))
  const first = rows.reduce((earliest, row) => (row.seq < earliest.seq ? row : earliest))
  for (const rowsMax of [undefined, rows.length]) {
    equal(await findingOf(compareRows(store, rowsMax)), { check: 'rows', ...first })
  }
})

compare('accepts a row whose members are in another order', async () => {
  const { log, store } = await sample()
  for await (const [stream, { last_seq, state }] of new Views(log).rows('')) {
    const stored = storedRow(stream, { last_seq, state })
    await store.write(rowOf(stream, { state: reversed(stored.state), last_seq }))
  }
  is(await compareRows(store), 1)
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).reverse()
  return Object.fromEntries(members.map(([key, member]) => [key, reversed(member)]))
}

compare('finds a missing, different or surplus block of receipts', async () => {
  const { log, store } = await sample()
  const blocks = Math.floor(log.head().size / 256)
  for (let block = 0; block < blocks; block += 1) {
    const missing = store.copy()
    missing.delete(keys.receiptsKey(1, block))
    equal(await findingOf(compareReceipts(missing)), { check: 'receipts', seq: block * 256 })
    const changed = store.copy()
    const bytes = Buffer.from((log.get({ view: 'receipts', key: block }) as Uint8Array | undefined) ?? [])
    const at = random(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 + random(255))
    const batch = { puts: [], deletes: [] }
    putView(batch, { view: 'receipts', key: block, value: bytes }, 1)
    await changed.write(batch)
    equal(await findingOf(compareReceipts(changed)), { check: 'receipts', seq: block * 256 })
  }
  const more = { puts: [], deletes: [] }
  putView(more, { view: 'receipts', key: blocks + 3, value: Buffer.alloc(2_048) }, 1)
  await store.write(more)
  equal(await findingOf(compareReceipts(store)), { check: 'receipts', seq: undefined })
})

compare.run()
