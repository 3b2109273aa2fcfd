import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { limits } from '../../src/kernel/limits.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, testActor } from '../support/ledger.ts'
import { FaultyStore, refusal, turns, until, watch, withStage } from './stage.ts'

// While one batch is being synced the next is decided over it (ADR 0013).

const overlap = suite('two batches at once')
const event = { action_type: 'system', outcome: 'success' } as const
const half = limits.batchHalvedFrom

/** So many commands at once that they are decided in two halves: `first` and others, then `second` and others. */
function inHalves(ledger: LocalLedger, first: () => Promise<unknown>, second: () => Promise<unknown>) {
  const fill = () => ledger.audit.append({ events: [event] })
  const others = Array.from({ length: half - 1 }, () => fill)
  return [first, ...others, second, ...others].map((call) => call())
}

/** The store of a ledger whose first half is being written, once the second has been decided too. */
async function firstHalfIsWritten(store: FaultyStore): Promise<void> {
  await until('the write of the first half', () => store.batches.length > 1)
  await turns()
  is(store.batches.length, 2, 'one write is in flight at a time')
}

async function entriesOf(ledger: LocalLedger): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of ledger.log.read({ from: 0 })) entries.push(entry)
  return entries
}

overlap('the second half is decided over the first, and nobody hears of either before it is durable', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      await ledger.audit.append({ events: [event] })
      const release = store.hold()
      const lock_id = 'lck_0123456789abcdef'
      const acquire = () => hold(ledger, { name: 'a', holder: 'first', lock_id })
      const calls = inHalves(ledger, acquire, () => hold(ledger, { name: 'a', holder: 'second' }))
      const again = acquire()
      const states = watch([...calls, again])
      await firstHalfIsWritten(store)
      equal(new Set(states), new Set(['open']))
      equal([(await ledger.head.get()).size, (await entriesOf(ledger)).length], [2, 2])
      release()
      const [granted, ...others] = await Promise.allSettled(calls)
      ok(granted?.status === 'fulfilled')
      const refused = await refusal(calls[half] as Promise<unknown>, 'LOCK_CONTENTION')
      equal([refused.details.holder, refused.details.token], ['first', 2])
      const replayed = await again
      equal([replayed.token, replayed.replayed, replayed.current], [2, true, true])
      is(others.filter(({ status }) => status === 'rejected').length, 1)
      is(store.batches.length, 3)
    },
    { wrapStore: store.wrap },
  )
})

overlap('a lock that the first half frees goes to who waited, before anybody of the second half', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const held = await hold(ledger, { name: 'a', holder: 'before' })
      const waiting = hold(ledger, { name: 'a', holder: 'waiting', wait_s: 60 })
      await turns()
      const calls = inHalves(
        ledger,
        () => held.release(),
        () => hold(ledger, { name: 'a', holder: 'late' }),
      )
      await refusal(calls[half] as Promise<unknown>, 'LOCK_CONTENTION')
      is((await waiting).holder, 'waiting')
      await Promise.allSettled(calls)
    },
    { wrapStore: store.wrap },
  )
})

for (const fault of ['before', 'after'] as const) {
  overlap(`a first half whose write fails ${fault} it persists: the second is never tried`, async () => {
    const store = new FaultyStore()
    await withStage(
      async (ledger) => {
        await ledger.audit.append({ events: [event] })
        const { size } = await ledger.head.get()
        store.failAfter(0, fault)
        const calls = inHalves(
          ledger,
          () => hold(ledger, { name: 'first', holder: 'a' }),
          () => hold(ledger, { name: 'second', holder: 'a' }),
        ).map((call) => refusal(call, 'LEDGER_UNAVAILABLE'))
        for (const error of await Promise.all(calls)) is(error.details.outcome, 'unknown')
        is(store.batches.length, 2)
        is((await ledger.head.get()).size, size)
        await ledger.close()
        const again = await openLedger({ dir: ledger.dir, actor: testActor })
        is((await again.head.get()).size, size + (fault === 'after' ? half : 0))
        const names = (await again.locks.list()).locks.map(({ name }) => name)
        equal(names, fault === 'after' ? ['resource:first'] : [])
        await again.close()
      },
      { wrapStore: store.wrap },
    )
  })
}

overlap('a second half whose write fails leaves the first answered', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      await ledger.audit.append({ events: [event] })
      store.failAfter(1, 'before')
      const ended = await Promise.allSettled(
        inHalves(
          ledger,
          () => hold(ledger, { name: 'first', holder: 'a' }),
          () => hold(ledger, { name: 'second', holder: 'a' }),
        ),
      )
      equal(
        ended.map(({ status }) => status),
        [...Array(half).fill('fulfilled'), ...Array(half).fill('rejected')],
      )
      await ledger.close()
      await endsWithVerify(ledger.dir)
    },
    { wrapStore: store.wrap },
  )
})

overlap('tiles that both halves grow are whole', async () => {
  await withStage(async (ledger) => {
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(
        Array.from({ length: 40 }, () => ledger.audit.append({ events: Array.from({ length: 100 }, () => event) })),
      )
      const { size } = await ledger.head.get()
      for (const seq of [0, 255, 256, size - 1]) ok((await ledger.log.prove({ seq })).proof.length > 0)
    }
  })
})

overlap('closing answers both halves', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      await ledger.audit.append({ events: [event] })
      const release = store.hold()
      const calls = inHalves(
        ledger,
        () => ledger.audit.append({ events: [event] }),
        () => ledger.audit.append({ events: [event] }),
      )
      await firstHalfIsWritten(store)
      const closed = ledger.close()
      release()
      equal(new Set((await Promise.allSettled(calls)).map(({ status }) => status)), new Set(['fulfilled']))
      await closed
    },
    { wrapStore: store.wrap },
  )
})

overlap.run()
