import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { limits } from '../../src/kernel/limits.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { ReceiptTable } from '../../src/views/receipt-table.ts'
import { horizon, Receipts } from '../../src/views/receipts.ts'
import * as steps from '../core/lock/steps.ts'
import type { World } from '../core/lock/world.ts'
import { testActor } from '../support/ledger.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { randomBelow } from '../support/seed.ts'
import { foundIn, keyOf, verified, withLimit, writtenOver } from './generated.ts'

const receipts = suite('receipts')
const random = randomBelow('receipts')
const windowEntries = 1_024

/** Tests of the window's edge have a window that is soon passed. */
const inSmallWindow = (work: () => Promise<void>) => () => withLimit(limits, 'receiptEntries', windowEntries, work)

receipts('are of the last 2^20 entries, to a whole block of 256', () => {
  is(limits.receiptEntries, 2 ** 20)
  const edge = 2 ** 20
  equal([0, 1, edge, edge + 255, edge + 256, edge + 511, edge + 512].map(horizon), [0, 0, 0, 0, 256, 256, 512])
})

receipts('find every request and grant of the window by actor and key, and nothing that was not asked', async () => {
  const { go, log, receipts: live, sequencer } = await writtenOver(new MemoryStore(), random)
  await go(1_200)
  await sequencer.close()
  let requests = 0
  for (const receipt of [live, new Receipts(log)]) {
    await receipt.loaded()
    for await (const page of log.entries(0)) {
      for (const entry of page) {
        const key = keyOf(entry)
        if (key === undefined) continue
        requests += 1
        ok(receipt.candidates(entry.actor.actor_id, key).includes(entry.seq), `entry ${entry.seq} is found`)
        equal(receipt.candidates('somebody else', key), [])
        equal(receipt.candidates(entry.actor.actor_id, `${key}x`), [])
      }
    }
  }
  ok(requests > 100)
})

receipts(
  'are found up to the edge of the window and not beyond, by who wrote them and by who opens the log',
  inSmallWindow(async () => {
    const { live, log, record, sequencer } = await recorder()
    for (let seq = 1; seq <= windowEntries + 600; seq += 1) {
      await record(seq)
      const { size } = log.head()
      if (size % 256 > 2 && size % 256 < 254 && size % 97 !== 0) continue
      const from = horizon(size)
      is(from, Math.max(0, Math.floor((size - windowEntries) / 256) * 256))
      for (const receipt of [live, new Receipts(log)]) {
        await receipt.loaded()
        const found = (at: number) => receipt.candidates(testActor.actor_id, `key-${at}`)
        if (from > 0) equal(found(from - 1), [], `size ${size}: before the edge`)
        for (const at of [from, from + 1, size - 2, size - 1]) equal(found(at), at < 1 ? [] : [at], `size ${size}`)
      }
    }
    await sequencer.close()
    await verified(log)
  }),
)

receipts(
  'cost one put in 256 entries, and what the window passes goes in the batch that passes it',
  inSmallWindow(async () => {
    const { log, record, sequencer, store } = await recorder()
    for (let seq = 1; seq <= windowEntries + 600; seq += 1) {
      store.batches.length = 0
      await record(seq)
      const size = seq + 1
      const ofReceipts = (key: Uint8Array) => keys.kindOf(key) === 'receipts'
      const puts = store.batches.flatMap((batch) => batch.puts.map(({ key }) => key)).filter(ofReceipts)
      const deletes = store.batches.flatMap((batch) => batch.deletes).filter(ofReceipts)
      is(store.batches.length, 1)
      equal(puts.map(hexOf), size % 256 === 0 ? [hexOf(keys.receiptsKey(1, size / 256 - 1))] : [])
      const passed = horizon(size) > horizon(size - 1) ? [hexOf(keys.receiptsKey(1, horizon(size) / 256 - 1))] : []
      equal(deletes.map(hexOf), passed)
    }
    equal(blocksIn(store), blocksOf(log))
    await sequencer.close()
  }),
)

receipts(
  'beyond the window let a request be done again, and inside it never',
  inSmallWindow(async () => {
    const { log, record, sequencer } = await recorder()
    for (let seq = 1; seq <= windowEntries + 511; seq += 1) await record(seq)
    is(horizon(log.head().size), 512)
    is((await record(512)).replayed, true)
    is((await record(511)).replayed, false)
    is((await record(511)).replayed, true, 'now it is a new one')
    is((await record(windowEntries)).replayed, true)
    await sequencer.close()
  }),
)

receipts(
  'of a rebuild are the same set, with blocks before the window and without',
  inSmallWindow(async () => {
    for (const length of [100, 255, windowEntries, windowEntries + 255, windowEntries + 256, windowEntries + 900]) {
      const store = new MemoryStore()
      const { go, log, sequencer } = await writtenOver(store, random)
      while (log.head().size < length) await go(Math.min(200, length - log.head().size))
      await sequencer.close()
      const [found, blocks] = [await foundIn(log), blocksIn(store)]
      equal(blocks, blocksOf(log))
      await rebuildViews(log)
      equal(blocksIn(store), blocks)
      equal(await foundIn(log), found)
      equal(await foundIn(KeyedLog.open(store.copy())), found)
      await verified(log)
    }
  }),
)

receipts(
  'know what is about to be appended, until they are told that it was not',
  inSmallWindow(async () => {
    const { log, record, sequencer } = await recorder()
    for (let seq = 1; seq <= 254; seq += 1) await record(seq)
    const view = new Receipts(log)
    await view.loaded()
    const entries = (from: number) => Array.from({ length: 3 }, (_, at) => ({ ...entryAt(log, 200), seq: from + at }))
    const first = view.take(entries(255))
    equal(
      first.map(({ key }) => key),
      [0],
    )
    equal(view.candidates(testActor.actor_id, 'key-200'), [200, 255, 256, 257])
    view.clear()
    await view.loaded()
    equal(view.candidates(testActor.actor_id, 'key-200'), [200])
    equal(view.take(entries(255)), first)
    await sequencer.close()
  }),
)

receipts(
  'that are gone stop the writer, for a repeated request would be done twice',
  inSmallWindow(async () => {
    const { log, record, sequencer, store } = await recorder()
    for (let seq = 1; seq <= 300; seq += 1) await record(seq)
    store.delete(keys.receiptsKey(1, 0))
    const opened = new Receipts(log)
    // However often it is asked: what was asked first may have been a query, and what comes then an append.
    for (let time = 0; time < 2; time += 1) {
      const error = await opened.loaded().catch((thrown: unknown) => thrown)
      ok(error instanceof LockstepError && error.code === 'LEDGER_CORRUPT')
    }
    await sequencer.close()
  }),
)

receipts('of a table are found as by a plain map, however it grows and forgets', () => {
  for (let history = 0; history < 20; history += 1) {
    const table = new ReceiptTable()
    const model = new Map<bigint, number[]>()
    // Few low halves, so that slots collide, and few fingerprints twice.
    const fingerprint = () => (BigInt(random(1_000)) << 32n) | BigInt(1 + random(8))
    let from = 0
    for (let seq = 0; seq < 6_000; seq += 1 + random(3)) {
      const one = fingerprint()
      table.add(one, seq)
      model.set(one, [...(model.get(one) ?? []), seq])
      if (random(500) === 0) {
        from = Math.max(from, seq - 900)
        table.forgetBefore(from, 900)
      }
      if (random(4) > 0) continue
      const asked = random(3) === 0 ? fingerprint() : one
      equal(
        table.find(asked, from),
        (model.get(asked) ?? []).filter((at) => at >= from),
      )
    }
  }
})

receipts.run()

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** The blocks of receipts that a store has, and those that a log of its size must have. */
function blocksIn({ pairs }: MemoryStore): number[] {
  const blocks = [...pairs.keys()].filter((key) => key.startsWith('69')).sort()
  return blocks.map((key) => Number.parseInt(key.slice(4), 16))
}

function blocksOf(log: KeyedLog): number[] {
  const { size } = log.head()
  const [first, end] = [horizon(size) / 256, Math.floor(size / 256)]
  return Array.from({ length: end - first }, (_, at) => first + at)
}

function entryAt(log: KeyedLog, seq: number) {
  const entry = log.entry(seq)
  if (entry === undefined) throw new Error(`there is no entry ${seq}`)
  return entry
}

/** A log to which one note is appended at a time, each under a request key that names it. */
async function recorder() {
  const store = new MemoryStore()
  const { log, receipts: live, sequencer } = await writtenOver(store, random)
  const command = steps.record().command({} as World)
  const record = (number: number) =>
    sequencer.submit({ command, actor: testActor, request: { key: `key-${number}`, sha256: 'ab'.repeat(32) } })
  return { live, log, record, sequencer, store }
}
