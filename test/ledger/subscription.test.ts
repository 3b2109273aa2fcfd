import { getEventListeners } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { limits } from '../../src/kernel/limits.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { nextOf } from '../support/entries.ts'
import { FaultyStore, refusal, turns, until, watch, withStage } from './stage.ts'

const test = suite('subscription')
const event = { action_type: 'system', outcome: 'success' } as const

/** Reads until there are so many entries; `pace` is awaited after each. */
async function take(
  ledger: LocalLedger,
  { from, count, pace = async () => {} }: { from: number; count: number; pace?: (seen: number) => Promise<void> },
): Promise<number[]> {
  const seqs: number[] = []
  for await (const { seq } of ledger.log.subscribe({ from })) {
    seqs.push(seq)
    if (seqs.length === count) break
    await pace(seqs.length)
  }
  return seqs
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index)

test('under load every reader gets every entry once and in order, the slow one as well', async () => {
  await withStage(async (ledger) => {
    const { size } = await ledger.head.get()
    const callers = 16
    const rounds = 40
    const count = callers * rounds * 2
    const readers = [
      take(ledger, { from: 0, count: size + count }),
      take(ledger, { from: size, count }),
      take(ledger, { from: size, count, pace: () => turns(1) }),
      // This one falls behind by pages, and catches up.
      take(ledger, { from: size, count, pace: (seen) => turns(seen % 97 === 0 ? 50 : 0) }),
      take(ledger, { from: size + 500, count: count - 500 }),
    ]
    await Promise.all(
      Array.from({ length: callers }, async (_, caller) => {
        for (let round = 0; round < rounds; round += 1) {
          const lease = await hold(ledger, { name: `lock ${caller}`, holder: 'a' })
          await lease.release()
        }
      }),
    )
    assert.equal(await Promise.all(readers), [
      range(0, size + count),
      range(size, count),
      range(size, count),
      range(size, count),
      range(size + 500, count - 500),
    ])
  })
})

test('a reader sees an entry only once it is durable', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const { size } = await ledger.head.get()
      const seen = take(ledger, { from: size, count: 1 })
      const release = store.hold()
      const appended = ledger.audit.append({ events: [event] })
      const states = watch([seen])
      await until('the write', () => store.batches.length === 1)
      await turns()
      assert.equal(states, ['open'])
      release()
      await appended
      assert.equal(await seen, [size])
    },
    { wrapStore: store.wrap },
  )
})

test('without a place to begin it begins with what is appended next', async () => {
  await withStage(async (ledger) => {
    await ledger.audit.append({ events: [event] })
    const { size } = await ledger.head.get()
    const next = ledger.log.subscribe()[Symbol.asyncIterator]().next()
    await ledger.audit.append({ events: [event] })
    assert.is((await next).value?.seq, size)
  })
})

test('a place that lies ahead is waited for, and nothing before it is given', async () => {
  await withStage(async (ledger) => {
    const { size } = await ledger.head.get()
    const seen = take(ledger, { from: size + 3, count: 2 })
    for (let count = 0; count < 5; count += 1) await ledger.audit.append({ events: [event] })
    assert.equal(await seen, [size + 3, size + 4])
  })
})

test('an abort ends it: while it waits, between two entries, and before it began', async () => {
  await withStage(async (ledger) => {
    await ledger.audit.append({ events: [event, event, event] })
    const seen: Entry[] = []
    const waits = new AbortController()
    const reader = (async () => {
      for await (const entry of ledger.log.subscribe({ from: 0 }, { signal: waits.signal })) seen.push(entry)
    })()
    await until('all entries', () => seen.length === 4)
    await turns()
    waits.abort()
    await reader
    assert.is(seen.length, 4)

    const between = new AbortController()
    const some: number[] = []
    for await (const { seq } of ledger.log.subscribe({ from: 0 }, { signal: between.signal })) {
      some.push(seq)
      if (seq === 1) between.abort()
    }
    assert.equal(some, [0, 1])
    for await (const _ of ledger.log.subscribe({ from: 0 }, { signal: AbortSignal.abort() })) assert.unreachable()
  })
})

test('close ends a reader that has read all there is', async () => {
  await withStage(async (ledger) => {
    const seen: Entry[] = []
    const reader = (async () => {
      for await (const entry of ledger.log.subscribe({ from: 0 })) seen.push(entry)
    })()
    await ledger.audit.append({ events: [event, event] })
    await until('all entries', () => seen.length === 3)
    await ledger.close()
    await reader
    assert.is(seen.length, 3)
  })
})

test('close tells a reader that was behind, so that it does not take what it has for all', async () => {
  await withStage(async (ledger) => {
    await ledger.audit.append({ events: Array.from({ length: 10 }, () => event) })
    const entries = ledger.log.subscribe({ from: 0 })[Symbol.asyncIterator]()
    assert.is((await entries.next()).value?.seq, 0)
    await ledger.close()
    await refusal(entries.next(), 'LEDGER_CLOSED')
  })
})

test('a closed ledger has no subscription', async () => {
  await withStage(async (ledger) => {
    await ledger.close()
    await refusal(nextOf(ledger.log.subscribe({ from: 0 })), 'LEDGER_CLOSED')
  })
})

test('a reader that ends leaves no listener at its signal, however often it waited', async () => {
  await withStage(async (ledger) => {
    const { signal } = new AbortController()
    const entries = ledger.log.subscribe({ from: (await ledger.head.get()).size }, { signal })[Symbol.asyncIterator]()
    for (let round = 0; round < 5; round += 1) {
      const next = entries.next()
      await turns(2)
      await ledger.audit.append({ events: [event] })
      await next
    }
    await entries.return?.()
    assert.is(getEventListeners(signal, 'abort').length, 0)
  })
})

test('from what is no seq nothing is read; beyond the end there is nothing yet', async () => {
  await withStage(async (ledger) => {
    for (const from of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '0' as never]) {
      await refusal(nextOf(ledger.log.read({ from })), 'INVALID_INPUT')
      await refusal(nextOf(ledger.log.read({ to: from })), 'INVALID_INPUT')
      await refusal(nextOf(ledger.log.subscribe({ from })), 'INVALID_INPUT')
    }
    assert.is((await nextOf(ledger.log.read({ from: 2 ** 52 }))).done, true)
    assert.is((await nextOf(ledger.log.read({ from: 5, to: 2 }))).done, true)
  })
})

test('a reader that stops leaves the others and the writer alone', async () => {
  await withStage(async (ledger) => {
    const { size } = await ledger.head.get()
    const stopped = take(ledger, { from: size, count: 1 })
    const going = take(ledger, { from: size, count: limits.readPageEntries + 3 })
    await ledger.audit.append({ events: [event] })
    assert.equal(await stopped, [size])
    await ledger.audit.append({ events: Array.from({ length: limits.readPageEntries + 2 }, () => event) })
    assert.equal(await going, range(size, limits.readPageEntries + 3))
  })
})

test.run()
