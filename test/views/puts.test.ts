import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Ledger } from '../../src/ledger.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import type { StoreBatch } from '../../src/log/keyed/store.ts'
import { FaultyStore, withStage } from '../ledger/stage.ts'

// Counted in the store itself: nothing that a batch puts is left out.

const puts = suite('what a lock costs')

/** Puts of each kind, and deletes. */
type Counts = Partial<Record<string, number>>

function countsOf(batches: readonly StoreBatch[]): Counts {
  const counts: Counts = {}
  const add = (kind: string) => {
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  for (const batch of batches) {
    for (const { key } of batch.puts) add(keys.kindOf(key) ?? 'stray')
    for (const _ of batch.deletes) add('delete')
  }
  return counts
}

/** Tiles that full ones of entries `from` … `to` - 1 make: one of level 0, and the one above it that grows. */
const fullBlocks = (from: number, to: number) => Math.floor(to / 256) - Math.floor(from / 256)

function withCounted(work: (ledger: Ledger, store: FaultyStore) => Promise<void>): Promise<void> {
  const store = new FaultyStore()
  return withStage((ledger) => work(ledger, store), { wrapStore: store.wrap })
}

puts('is one put for its entry and one for its row, and one for the head of the batch', () =>
  withCounted(async (ledger, store) => {
    for (let round = 0; round < 10; round += 1) {
      const lease = await ledger.locks.acquire({ name: `name-${round % 3}`, holder: 'h' })
      await lease.renew()
      await lease.release()
    }
    is(store.batches.length, 30)
    for (const batch of store.batches) equal(countsOf([batch]), { entry: 1, row: 1, head: 1 })
  }),
)

puts('is at most two puts an entry whatever the size of the batch, beside its head and full tiles', () =>
  withCounted(async (ledger, store) => {
    for (const callers of [2, 16, 64, 300]) {
      const before = ledger.head().size
      store.batches.length = 0
      const names = Array.from({ length: callers }, (_, caller) => `name-${callers}-${caller}`)
      const leases = await Promise.all(names.map((name) => ledger.locks.acquire({ name, holder: 'h' })))
      await Promise.all(leases.map((lease) => lease.release()))
      const entries = ledger.head().size - before
      is(entries, 2 * callers)
      const blocks = fullBlocks(before, ledger.head().size)
      const batches = store.batches.length
      ok(batches < entries, 'callers share batches')
      const { tile = 0, receipts = 0, ...counts } = countsOf(store.batches)
      equal(counts, { entry: entries, row: entries, head: batches })
      is(receipts, blocks)
      // A full tile of level 0 each, and the tile above once in each batch that fills any.
      ok(tile >= blocks && tile <= 2 * blocks, `${tile} tiles in ${blocks} blocks`)
    }
  }),
)

puts('is less than two puts an entry where one row changes several times in a batch', () =>
  withCounted(async (ledger, store) => {
    const lease = await ledger.locks.acquire({ name: 'name', holder: 'h' })
    store.batches.length = 0
    const waiting = [1, 2, 3].map((at) => ledger.locks.acquire({ name: 'name', holder: `h${at}`, wait_s: 60 }))
    while (((await ledger.locks.status('name')).waiting ?? 0) < 3) await new Promise(setImmediate)
    // The release grants to the first waiter: two entries of one stream, one row.
    await lease.release()
    equal(countsOf(store.batches), { entry: 2, row: 1, head: 1 })
    for (const each of waiting) await (await each).release()
  }),
)

puts('is nothing at all where a lock is refused, asked about or asked for again', () =>
  withCounted(async (ledger, store) => {
    const lock_id = 'lck_asked-for-twice-over'
    await ledger.locks.acquire({ name: 'name', holder: 'h', lock_id })
    store.batches.length = 0
    is((await ledger.locks.acquire({ name: 'name', holder: 'h', lock_id })).replayed, true)
    const refused = await ledger.locks.acquire({ name: 'name', holder: 'other' }).then(String, String)
    ok(refused.includes('is held'), refused)
    is((await ledger.locks.status('name')).state, 'held')
    for await (const _ of ledger.read());
    equal(store.batches, [])
  }),
)

puts('is a put for each entry and one for each row where locks are acquired together', () =>
  withCounted(async (ledger, store) => {
    const names = ['a', 'b', 'c', 'd', 'e']
    await ledger.locks.acquireAll({ names, holder: 'h' })
    equal(countsOf(store.batches), { entry: 5, row: 5, head: 1 })
  }),
)

puts.run()
