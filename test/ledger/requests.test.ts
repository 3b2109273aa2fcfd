import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { limits } from '../../src/kernel/limits.ts'
import type { Ledger } from '../../src/ledger.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import type { Key } from '../../src/log/log.ts'
import { openLedger } from '../../src/open.ts'
import { ReceiptTable } from '../../src/views/receipt-table.ts'
import { horizon, ReceiptBlocks, Receipts } from '../../src/views/receipts.ts'
import { testActor } from '../support/ledger.ts'
import { FaultyStore, refusal, refusalOf, StageClock, until, withStage } from './stage.ts'

const test = suite('requests')
const event = { action_type: 'system', outcome: 'success' } as const
const failure = { action_type: 'system', outcome: 'failure' } as const
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const
const lockId = (number: number) => `lck_${String(number).padStart(16, '0')}`

/** Does the work in the ledger as it is, and in the one that is opened after it. */
async function nowAndReopened(ledger: Ledger, work: (ledger: Ledger) => Promise<void>): Promise<void> {
  await work(ledger)
  await ledger.close()
  const again = await openLedger({ dir: ledger.dir, actor: testActor, self_check: true })
  try {
    await work(again)
  } finally {
    await again.close()
  }
}

test('the same request again gives no new events and the first answer, also after a restart', async () => {
  await withStage(async (ledger) => {
    const options = { idempotency_key: 'key' }
    const first = await ledger.audit.append([event, failure], options)
    assert.is(first.replayed, false)
    await nowAndReopened(ledger, async (opened) => {
      const { size } = opened.head()
      assert.equal(await opened.audit.append([event, failure], options), { ...first, replayed: true })
      assert.is(opened.head().size, size)
    })
  })
})

test('the same key with other content is a mismatch that names the first, also after a restart', async () => {
  await withStage(async (ledger) => {
    const options = { idempotency_key: 'key' }
    const [first] = (await ledger.audit.append(event, options)).events
    await nowAndReopened(ledger, async (opened) => {
      const { size } = opened.head()
      for (const events of [[failure], [event, event], [{ ...event, notes: 'x' }]]) {
        const error = await refusal(opened.audit.append(events, options), 'IDEMPOTENCY_MISMATCH')
        assert.equal(error.details, { seq: first?.seq, event_id: first?.event_id })
        assert.is(error.retryable, false)
      }
      assert.is(opened.head().size, size)
    })
  })
})

test('a key belongs to its actor', async () => {
  await withStage(async (ledger) => {
    await ledger.audit.append(event, { idempotency_key: 'key' })
    const theirs = await ledger.audit.append(failure, { idempotency_key: 'key', actor: other })
    assert.is(theirs.replayed, false)
    const mine = await ledger.audit.append(event, { idempotency_key: 'key' })
    assert.is(mine.replayed, true)
    assert.is((await ledger.audit.append(failure, { idempotency_key: 'key', actor: other })).replayed, true)
  })
})

test('the content is what counts, not how it was written', async () => {
  await withStage(async (ledger) => {
    const options = { idempotency_key: 'key' }
    const digest = 'ab'.repeat(32)
    await ledger.audit.append({ action_type: 'system', outcome: 'success', request_hash_sha256: digest }, options)
    const again = { request_hash_sha256: digest.toUpperCase(), outcome: 'success', action_type: 'system' } as const
    assert.is((await ledger.audit.append(again, options)).replayed, true)
  })
})

test('the same acquisition again gives the same grant, and says whether it is current', async () => {
  await withStage(async (ledger) => {
    const request = { name: 'a', holder: 'a', lease_duration_s: 60, lock_id: lockId(1) }
    const first = await ledger.locks.acquire(request)
    assert.equal([first.replayed, first.current], [false, true])
    await nowAndReopened(ledger, async (opened) => {
      const again = await opened.locks.acquire(request)
      assert.equal(
        [again.token, again.acquired, again.replayed, again.current],
        [first.token, first.acquired, true, true],
      )
    })
    const opened = await openLedger({ dir: ledger.dir, actor: testActor })
    await opened.locks.release({ lock_id: lockId(1) })
    const { size } = opened.head()
    const late = await opened.locks.acquire(request)
    assert.equal([late.token, late.replayed, late.current], [first.token, true, false])
    const theirs = await opened.locks.acquire({ ...request, lock_id: lockId(2) })
    const later = await opened.locks.acquire(request)
    assert.equal([later.token, later.replayed, later.current], [first.token, true, false])
    assert.is(opened.head().size, size + 1)
    assert.is(theirs.token, size)
    await opened.close()
  })
})

test('a lock_id that was used is not taken for another lock, holder or lease', async () => {
  await withStage(async (ledger) => {
    const request = { name: 'a', holder: 'a', lease_duration_s: 60, lock_id: lockId(1) }
    const { token } = await ledger.locks.acquire(request)
    await nowAndReopened(ledger, async (opened) => {
      for (const change of [{ name: 'b' }, { holder: 'b' }, { lease_duration_s: 61 }]) {
        const error = await refusal(opened.locks.acquire({ ...request, ...change }), 'IDEMPOTENCY_MISMATCH')
        assert.is(error.details.seq, token)
      }
      await refusal(
        opened.locks.acquireAll({ names: ['a', 'b'], holder: 'a', lock_ids: [lockId(1), lockId(2)] }),
        'IDEMPOTENCY_MISMATCH',
      )
    })
  })
})

test('several locks asked for again are the same grants', async () => {
  await withStage(async (ledger) => {
    await ledger.locks.acquire({ name: 'b', holder: 'x', lock_id: lockId(9), lease_duration_s: 1 })
    const request = { names: ['a', 'c'], holder: 'a', lock_ids: [lockId(1), lockId(2)] }
    const first = await ledger.locks.acquireAll(request)
    await nowAndReopened(ledger, async (opened) => {
      const again = await opened.locks.acquireAll(request)
      assert.equal(
        again.map(({ name, token, lock_id, replayed, current }) => [name, token, lock_id, replayed, current]),
        first.map(({ name, token, lock_id }) => [name, token, lock_id, true, true]),
      )
    })
  })
})

test('a grant over an orphan is found again by its lock_id, with what it recovered', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      await ledger.locks.acquire({ name: 'a', holder: 'a', lease_duration_s: 60 })
      clock.pass(60_000)
      const request = { name: 'a', holder: 'b', lock_id: lockId(1) }
      const first = await ledger.locks.acquire(request)
      const again = await ledger.locks.acquire(request)
      assert.equal([again.token, again.replayed], [first.token, true])
      assert.is((await ledger.entry(first.token - 1)).type, 'lock.recovered')
      await ledger.locks.release({ lock_id: lockId(1) })
    },
    { now: clock.now },
  )
})

test('a refusal is not remembered: the same request later is decided anew', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: 'a' })
    const request = { name: 'a', holder: 'b', lock_id: lockId(1) }
    await refusal(ledger.locks.acquire(request), 'LOCK_CONTENTION')
    const guarded = { idempotency_key: 'key', guard: { name: 'a', token: held.token + 1 } }
    await refusal(ledger.audit.append(event, guarded), 'STALE_TOKEN')
    await held.release()
    const lease = await ledger.locks.acquire(request)
    assert.is(lease.replayed, false)
    const now = { idempotency_key: 'key', guard: { name: 'a', token: lease.token } }
    assert.is((await ledger.audit.append(event, now)).replayed, false)
  })
})

test('a repeat is answered though its guard would not hold any more', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: 'a' })
    const options = {
      idempotency_key: 'key',
      guard: { name: 'a', token: held.token },
      expected_size: ledger.head().size,
    }
    const first = await ledger.audit.append(event, options)
    await held.release()
    assert.equal(await ledger.audit.append(event, options), { ...first, replayed: true })
  })
})

test('the same request twice at one time is done once: both get its answer', async () => {
  await withStage(async (ledger) => {
    const { size } = ledger.head()
    const options = { idempotency_key: 'key' }
    const acquire = { name: 'a', holder: 'a', lock_id: lockId(1) }
    const [one, two, different, lease, same] = await Promise.allSettled([
      ledger.audit.append(event, options),
      ledger.audit.append(event, options),
      ledger.audit.append(failure, options),
      ledger.locks.acquire(acquire),
      ledger.locks.acquire(acquire),
    ])
    assert.equal(value(two), { ...value(one), replayed: true })
    assert.is(value(one).replayed, false)
    await refusalOf(different, 'IDEMPOTENCY_MISMATCH')
    assert.equal([value(lease).replayed, value(same).replayed], [false, true])
    assert.is(value(lease).token, value(same).token)
    assert.is(ledger.head().size, size + 2)
  })
})

test('the same request while the first is being written is answered with it', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const release = store.hold()
      const options = { idempotency_key: 'key' }
      const first = ledger.audit.append(event, options)
      await until('the write', () => store.batches.length === 1)
      const second = ledger.audit.append(event, options)
      release()
      assert.equal(await second, { ...(await first), replayed: true })
      assert.is(store.batches.length, 1)
    },
    { wrapStore: store.wrap },
  )
})

test('an expected size is compared at the request’s place in its batch', async () => {
  await withStage(async (ledger) => {
    const { size } = ledger.head()
    const [first, late, next] = await Promise.allSettled([
      ledger.audit.append([event, event], { expected_size: size }),
      ledger.audit.append(event, { expected_size: size }),
      ledger.audit.append(event, { expected_size: size + 2 }),
    ])
    assert.equal([first.status, late.status, next.status], ['fulfilled', 'rejected', 'fulfilled'])
    const error = await refusalOf(late, 'SIZE_MISMATCH')
    assert.equal([error.details, error.retryable], [{ expected_size: size, size: size + 2 }, true])
  })
})

test('receipts are found in full blocks, across the end of a block, and after a restart', async () => {
  await withStage(async (ledger) => {
    const key = (index: number) => ({ idempotency_key: `key ${index}` })
    await Promise.all(Array.from({ length: 600 }, (_, index) => ledger.audit.append(event, key(index))))
    await nowAndReopened(ledger, async (opened) => {
      const { size } = opened.head()
      for (const index of [0, 1, 253, 254, 255, 256, 510, 511, 512, 599]) {
        const { events, replayed } = await opened.audit.append(event, key(index))
        assert.equal([replayed, events[0]?.seq], [true, index + 1], `request ${index}`)
      }
      assert.is(opened.head().size, size)
    })
  })
})

test('receipts older than 2^20 entries go, a whole block of 256 at a time', () => {
  const bound = limits.receiptEntries
  assert.is(bound, 2 ** 20)
  assert.equal([0, 1, bound - 1, bound, bound + 255, bound + 256, bound + 511, bound + 512, 2 * bound].map(horizon), [
    0,
    0,
    0,
    0,
    0,
    256,
    256,
    512,
    bound,
  ])
})

/** A log of so many entries that was never written. Each is the first of a request of its own; 1,024 have receipts. */
function longLog(size: number): { log: KeyedLog; append: (count: number) => Entry[] } {
  const entry = (seq: number) =>
    ({
      actor: testActor,
      data: {},
      request: { count: 1, index: 0, key: `key ${seq}`, sha256: '' },
      seq,
      type: 'audit.recorded',
    }) as unknown as Entry
  let length = size
  const blocks = new Map<number, Uint8Array>()
  const rows = new ReceiptBlocks()
  for (let seq = 0; seq < 1_024; seq += 1) {
    const row = rows.next(entry(seq))
    if (row !== undefined) blocks.set(row.block, row.value)
  }
  const empty = Buffer.alloc(2_048)
  const load = (keys: readonly Key[]) =>
    keys.map(({ key, view }) => (view === 'entry' ? entry(key) : (blocks.get(Number(key)) ?? empty)))
  const log = { head: () => ({ size: length }), load } as unknown as KeyedLog
  const append = (count: number) => {
    length += count
    return Array.from({ length: count }, (_, index) => entry(length - count + index))
  }
  return { log, append }
}

test('the batch that passes a receipt’s age deletes its block and forgets it, and one entry before it does not', async () => {
  const { log, append } = longLog(limits.receiptEntries + 200)
  const receipts = new Receipts(log)
  await receipts.loaded()
  const write = (count: number) => {
    const writes = receipts.take(append(count))
    return writes.map(({ view, key, value }) => [view, key, value === undefined ? 'gone' : 'kept'])
  }
  assert.equal(receipts.candidates(testActor.actor_id, 'key 300'), [300])
  assert.equal(write(55), [])
  const block = limits.receiptEntries / 256
  assert.equal(write(1), [
    ['receipts', block, 'kept'],
    ['receipts', 0, 'gone'],
  ])
  assert.equal(receipts.candidates(testActor.actor_id, 'key 255'), [])
  assert.equal(write(255), [])
  assert.equal(write(600), [
    ['receipts', block + 1, 'kept'],
    ['receipts', block + 2, 'kept'],
    ['receipts', block + 3, 'kept'],
    ['receipts', 1, 'gone'],
    ['receipts', 2, 'gone'],
    ['receipts', 3, 'gone'],
  ])
  const newest = log.head().size - 1
  assert.equal(receipts.candidates(testActor.actor_id, `key ${newest}`), [newest])
  assert.equal(receipts.candidates('agent-2', `key ${newest}`), [])
  assert.equal(receipts.candidates(testActor.actor_id, 'key 300'), [])
})

test('a table of receipts finds all candidates of a fingerprint in order, and none before a seq', () => {
  const table = new ReceiptTable()
  // Fingerprints that share a slot, in a table that has to grow several times.
  for (let seq = 0; seq < 5_000; seq += 1) table.add(BigInt(seq % 7) << 32n, seq)
  const threes = Array.from({ length: 5_000 }, (_, seq) => seq).filter((seq) => seq % 7 === 3)
  assert.equal(table.find(3n << 32n, 0), threes)
  assert.equal(
    table.find(3n << 32n, 4_000),
    threes.filter((seq) => seq >= 4_000),
  )
  assert.equal(table.find(8n << 32n, 0), [])
  table.forgetBefore(4_990, 10)
  assert.equal(
    table.find(3n << 32n, 0),
    threes.filter((seq) => seq >= 4_990),
  )
})

function value<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === 'rejected') throw settled.reason
  return settled.value
}

test.run()
