// limit: 180
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { FaultyStore, refusal, StageClock, until, withStage } from './stage.ts'

/** In real seconds: so long that no busy machine makes it run out between two steps of a test. */
const lease_duration_s = 5
const leases = suite('a lease in its holder’s hands')

/** Lets the time pass that the holder measures; the ledger's clock is another. */
async function withPassingTime(work: (pass: (millis: number) => void) => Promise<void>): Promise<void> {
  const { now } = performance
  let passed = 0
  performance.now = () => now.call(performance) + passed
  try {
    await work((millis) => {
      passed += millis
    })
  } finally {
    performance.now = now
  }
}

leases('ends its signal by itself when its time is over', async () => {
  await withStage(async (ledger) => {
    const lease = await ledger.locks.acquire({ name: 'a', holder: 'h', lease_duration_s })
    is(lease.signal.aborted, false)
    await until('the end of the signal', () => lease.signal.aborted)
    ok(String(lease.signal.reason).includes('resource:a'))
  })
})

leases('ends its signal where it could not be released, and not where it was', async () => {
  await withStage(async (ledger) => {
    const [released, kept] = await ledger.locks.acquireAll({ names: ['a', 'b'], holder: 'h', lease_duration_s })
    if (released === undefined || kept === undefined) throw new Error('two were granted')
    const signals = [released.signal, kept.signal]
    await released.release()
    await ledger.close()
    await refusal(kept.release(), 'LEDGER_CLOSED')
    await until('the end of the signal', () => kept.signal.aborted)
    equal(
      signals.map(({ aborted }) => aborted),
      [false, true],
    )
  })
})

leases('counts from before the request was sent, so its holder stops no later than the ledger lets go', async () => {
  const clock = new StageClock()
  const store = new FaultyStore()
  await withPassingTime((pass) =>
    withStage(
      async (ledger) => {
        const writes = store.batches.length
        const goOn = store.hold()
        const asked = ledger.locks.acquire({ name: 'a', holder: 'h', lease_duration_s: 60 })
        await until('the write', () => store.batches.length > writes)
        pass(60_000)
        goOn()
        const lease = await asked
        await until('the end of the signal', () => lease.signal.aborted)
        is(
          (await ledger.locks.status('a')).state,
          'held',
          'the ledger, whose lease began later, still keeps others away',
        )
        is((await refusal(ledger.locks.acquire({ name: 'a', holder: 'x' }))).code, 'LOCK_CONTENTION')
        clock.pass(60_000)
        is((await ledger.locks.status('a')).state, 'orphan')
      },
      { now: clock.now, wrapStore: store.wrap },
    ),
  )
})

leases('ends its signal soon after a machine goes on that was suspended for longer', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      const { signal } = await ledger.locks.acquire({ name: 'a', holder: 'h', lease_duration_s: 3_600 })
      clock.pass(3_600_000)
      await until('the end of the signal', () => signal.aborted)
      is((await ledger.locks.status('a')).state, 'orphan')
    },
    { now: clock.now },
  )
})

leases('that was renewed goes on, and one that was not is over', async () => {
  const clock = new StageClock()
  await withPassingTime((pass) =>
    withStage(
      async (ledger) => {
        const renewed = await ledger.locks.acquire({ name: 'a', holder: 'h', lease_duration_s: 60 })
        const left = await ledger.locks.acquire({ name: 'b', holder: 'h', lease_duration_s: 60 })
        const { expires_at } = renewed
        pass(59_000)
        clock.pass(59_000)
        await renewed.renew()
        ok(Date.parse(renewed.expires_at ?? '') >= Date.parse(expires_at ?? '') + 59_000)
        pass(1_000)
        clock.pass(1_000)
        equal([renewed.signal.aborted, left.signal.aborted], [false, false], 'told by timers, not at once')
        await until('the end of the one that was left', () => left.signal.aborted)
        is(renewed.signal.aborted, false)
        is((await refusal(left.renew())).code, 'LEASE_EXPIRED')
      },
      { now: clock.now },
    ),
  )
})

leases('of several names are granted sorted, each name once, all or nothing, in one append', async () => {
  await withStage(async (ledger) => {
    const { batches } = ledger.counts
    const names = ['ü', 'resource:a', 'z', 'a', 'A']
    const granted = await ledger.locks.acquireAll({ names, holder: 'h' })
    equal(
      granted.map(({ name, token }) => [name, token]),
      [
        ['resource:A', 1],
        ['resource:a', 2],
        ['resource:z', 3],
        ['resource:ü', 4],
      ],
    )
    is(ledger.counts.batches, batches + 1)
    const { size } = ledger.head()
    const refused = await refusal(ledger.locks.acquireAll({ names: ['b', 'z'], holder: 'x' }), 'LOCK_CONTENTION')
    equal([refused.details.name, ledger.head().size], ['resource:z', size])
  })
})

leases('of a resource names this process unless told otherwise, and is released by its scope', async () => {
  await withStage(async (ledger) => {
    const lease = await ledger.locks.acquire({ name: 'a', holder: 'h' })
    equal((await ledger.locks.status('a')).pids, [process.pid])
    await lease[Symbol.asyncDispose]()
    is((await ledger.locks.status('a')).state, 'free')
    is((await refusal(lease.renew())).code, 'STALE_TOKEN')
  })
})

leases.run()
