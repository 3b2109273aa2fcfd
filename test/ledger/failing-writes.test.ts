import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Ledger } from '../../src/ledger.ts'
import { entryKey } from '../../src/log/keyed/rows/keys.ts'
import type { Lease } from '../../src/nouns/locks/lease.ts'
import { openLedger } from '../../src/open.ts'
import { testActor } from '../support/ledger.ts'
import { FaultyStore, refusal, until, withStage } from './stage.ts'

const test = suite('failing writes')
const event = { action_type: 'system', outcome: 'success' } as const
const lockId = (number: number) => `lck_${String(number).padStart(16, '0')}`

/** The ledger is left failed, closed and opened again; the test goes on with what that found. */
async function reopened(ledger: Ledger, work: (ledger: Ledger) => Promise<void>): Promise<void> {
  await ledger.close()
  const again = await openLedger({ dir: ledger.dir, actor: testActor, self_check: true })
  try {
    await work(again)
  } finally {
    await again.close()
  }
}

for (const fault of ['before', 'after'] as const) {
  test(`a write that fails ${fault} it persists: its callers are told unknown, queued ones not_applied, later ones refused`, async () => {
    const store = new FaultyStore()
    await withStage(
      async (ledger) => {
        const held = await ledger.locks.acquire({ name: 'held', holder: 'a' })
        const { size } = ledger.head()
        const release = store.hold()
        store.failAfter(0, fault)
        const inBatch = [
          ledger.locks.acquire({ name: 'a', holder: 'a' }),
          ledger.audit.append(event),
          // Decided upon what the batch would have made true, so what they were to be told is unknown as well.
          ledger.locks.acquire({ name: 'a', holder: 'b' }),
          ledger.locks.acquire({ name: 'held', holder: 'a', lock_id: held.lock_id }),
        ].map((call) => refusal(call, 'LEDGER_UNAVAILABLE'))
        const waiter = refusal(ledger.locks.acquire({ name: 'held', holder: 'b', wait_s: 60 }), 'LEDGER_UNAVAILABLE')
        await until('the write', () => store.batches.length === 2)
        const queued = [ledger.locks.acquire({ name: 'b', holder: 'a' }), ledger.audit.append(event)].map((call) =>
          refusal(call, 'LEDGER_UNAVAILABLE'),
        )
        release()
        for (const error of await Promise.all(inBatch)) {
          assert.is(error.details.outcome, 'unknown')
          assert.is(error.retryable, true)
          assert.match(error.message, 'injected by the test')
          assert.match(error.hint ?? '', 'with the same key')
        }
        for (const error of await Promise.all([...queued, waiter])) assert.is(error.details.outcome, 'not_applied')
        const later = await refusal(ledger.audit.append(event), 'LEDGER_UNAVAILABLE')
        assert.is(later.details.outcome, 'not_applied')
        assert.is(store.batches.length, 2, 'nothing more is written')
        assert.is(ledger.head().size, size, 'nothing of it was published')
        assert.is((await ledger.locks.status('held')).state, 'held', 'what was true before can still be read')

        await reopened(ledger, async (again) => {
          assert.is(again.head().size, fault === 'before' ? size : size + 2, 'opening decides')
        })
      },
      { wrapStore: store.wrap },
    )
  })

  test(`after a write that failed ${fault} it persisted, a retry under the same key gets the right answer`, async () => {
    const store = new FaultyStore()
    const isThere = fault === 'after'
    await withStage(
      async (ledger) => {
        const kept = await ledger.locks.acquire({ name: 'kept', holder: 'a', lock_id: lockId(1) })
        const { size } = ledger.head()
        store.failAfter(0, fault)
        const acquire = { name: 'a', holder: 'a', lock_id: lockId(2) }
        const several = { names: ['x', 'y'], holder: 'a', lock_ids: [lockId(3), lockId(4)] }
        const options = { idempotency_key: 'k', guard: { name: 'kept', token: kept.token } }
        const calls = [
          ledger.locks.acquire(acquire),
          ledger.locks.acquireAll(several),
          ledger.audit.append([event, event], options),
          kept.release(),
        ]
        for (const call of calls) await refusal(call, 'LEDGER_UNAVAILABLE')

        await reopened(ledger, async (again) => {
          const lease = await again.locks.acquire(acquire)
          assert.equal([lease.replayed, lease.current, lease.token], [isThere, true, size])
          const leases = await again.locks.acquireAll(several)
          assert.equal(
            leases.map(({ name, replayed, token }) => [name, replayed, token]),
            [
              ['resource:x', isThere, size + 1],
              ['resource:y', isThere, size + 2],
            ],
          )
          const appended = await again.audit.append([event, event], options)
          assert.is(appended.replayed, isThere)
          assert.equal(
            appended.events.map(({ seq }) => seq),
            [size + 3, size + 4],
          )
          const released = await again.locks.release({ lock_id: lockId(1) })
          assert.equal([released.replayed, released.token], [isThere, kept.token])
          assert.is(again.head().size, size + 6, 'nothing was done twice')
        })
      },
      { wrapStore: store.wrap },
    )
  })
}

test('a release whose write fails is unknown to its caller and to the waiter it served', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const held = await ledger.locks.acquire({ name: 'a', holder: 'a' })
      const lock_id = lockId(1)
      const waiter = refusal(
        ledger.locks.acquire({ name: 'a', holder: 'b', wait_s: 60, lock_id }),
        'LEDGER_UNAVAILABLE',
      )
      await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
      store.failAfter(0, 'after')
      const released = await refusal(held.release(), 'LEDGER_UNAVAILABLE')
      assert.equal([released.details.outcome, (await waiter).details.outcome], ['unknown', 'unknown'])
      await reopened(ledger, async (again) => {
        const lease = await again.locks.acquire({ name: 'a', holder: 'b', lock_id })
        assert.equal([lease.replayed, lease.current], [true, true])
      })
    },
    { wrapStore: store.wrap },
  )
})

test('a full disk is LEDGER_UNAVAILABLE with its own words, and the ledger is whole once there is space', async () => {
  const store = new FaultyStore()
  store.error = Object.assign(new Error('IO error: /x/000005.log: No space left on device'), { code: 'LEVEL_IO_ERROR' })
  await withStage(
    async (ledger) => {
      await ledger.audit.append(event)
      const { size } = ledger.head()
      store.failAfter(0, 'before')
      const error = await refusal(ledger.audit.append(event), 'LEDGER_UNAVAILABLE')
      assert.equal([error.details.outcome, error.retryable], ['unknown', true])
      assert.match(error.message, 'No space left on device')
      await reopened(ledger, async (again) => {
        assert.is(again.head().size, size)
        assert.is((await again.audit.append(event)).events[0]?.seq, size)
      })
    },
    { wrapStore: store.wrap },
  )
})

/** What one caller was told, command by command, until it was told nothing more. */
interface Told {
  granted: Lease[]
  released: number[]
  failedWith: unknown
}

for (const fault of ['before', 'after'] as const) {
  for (const good of [0, 1, 2, 5]) {
    test(`nothing acknowledged is missing, and no half is there, when write ${good + 1} fails ${fault} it persists`, async () => {
      const store = new FaultyStore()
      await withStage(
        async (ledger) => {
          store.failAfter(good, fault)
          const told = await Promise.all(Array.from({ length: 8 }, (_, caller) => work(ledger, caller)))
          for (const { failedWith } of told) await refusal(Promise.reject(failedWith), 'LEDGER_UNAVAILABLE')
          const acknowledged = told.flatMap(({ granted }) => granted).length
          assert.is(acknowledged, good === 0 ? 0 : 8 * Math.ceil(good / 2))

          await reopened(ledger, async (again) => {
            for (const { granted, released } of told) {
              for (const { lock_ref, token } of granted) {
                assert.is((await again.entry(token)).type, 'lock.acquired')
                assert.is((await again.entry(token)).data.lock_ref, lock_ref)
              }
              for (const token of released)
                assert.is((await again.locks.status(String((await again.entry(token)).data.name))).state, 'free')
            }
            // Each append of two stands whole or not at all.
            let halves = 0
            for await (const entry of again.read()) if (entry.type === 'audit.recorded') halves += 1
            assert.is(halves % 2, 0)
          })
        },
        { wrapStore: store.wrap },
      )
    })
  }
}

/** Acquires and releases, with two audit events beside each, until an error. */
async function work(ledger: Ledger, caller: number): Promise<Told> {
  const told: Told = { granted: [], released: [], failedWith: undefined }
  try {
    for (let round = 0; round < 100; round += 1) {
      const acquire = { name: `lock ${caller} ${round}`, holder: 'a' }
      const [lease] = await Promise.all([ledger.locks.acquire(acquire), ledger.audit.append([event, event])])
      told.granted.push(lease)
      await lease.release()
      told.released.push(lease.token)
    }
  } catch (error) {
    told.failedWith = error
  }
  return told
}

test('a batch that cannot be decided answers everybody: those it served, those in it, those behind it', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const held = await ledger.locks.acquire({ name: 'held', holder: 'a' })
      await ledger.audit.append(event, { idempotency_key: 'k' })
      const { size } = ledger.head()
      const waiter = ledger.locks.acquire({ name: 'held', holder: 'b', wait_s: 60 })
      await ledger.audit.append(event)
      // The entry that the repeated request has to be compared with cannot be read any more.
      store.get = (key, real) =>
        Buffer.compare(key, entryKey(size - 1)) === 0 ? Buffer.from('damaged') : real.get(key)
      const writes = store.batches.length
      const calls = [
        held.release(),
        ledger.audit.append(event, { idempotency_key: 'k' }),
        ledger.audit.append(event),
        waiter,
      ].map((call) => refusal(call, 'LEDGER_CORRUPT'))
      for (const error of await Promise.all(calls)) assert.is(error.details.outcome, 'not_applied')
      await refusal(ledger.audit.append(event), 'LEDGER_CORRUPT')
      assert.is(store.batches.length, writes)
      store.get = (key, real) => real.get(key)
    },
    { wrapStore: store.wrap },
  )
})

test.run()
