import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { limits } from '../../src/kernel/limits.ts'
import { hold } from '../../src/lease.ts'
import { openLedger } from '../../src/open.ts'
import { Views } from '../../src/views/views.ts'
import { Plan } from '../../src/writer/plan.ts'
import { testActor } from '../support/ledger.ts'
import { newest } from '../support/newest.ts'
import { FaultyStore, refusal, StageClock, turns, until, watch, withBareSequencer, withStage } from './stage.ts'

const test = suite('sequencer')
const event = { action_type: 'system', outcome: 'success' } as const
const entryPrefix = 0x65

test('nothing is answered, published or readable before its write is synced', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const held = await hold(ledger, { name: 'held', holder: 'a' })
      const { size } = await ledger.head.get()
      const release = store.hold()
      const subscribed: Entry[] = []
      const stop = new AbortController()
      const reader = (async () => {
        for await (const entry of ledger.log.subscribe({ from: size }, { signal: stop.signal })) subscribed.push(entry)
      })()
      const states = watch([
        hold(ledger, { name: 'free', holder: 'a' }),
        ledger.audit.append({ events: [event] }),
        // Refusals and repeats that are decided in a batch with entries wait for it too.
        hold(ledger, { name: 'held', holder: 'b' }),
        hold(ledger, { name: 'held', holder: 'a', lock_id: held.lock_id }),
        ledger.audit.append({ events: [event], expected_size: 10_000 }),
      ])
      await until('the write', () => store.batches.length === 2)
      await turns()
      assert.equal(states, ['open', 'open', 'open', 'open', 'open'])
      assert.is((await ledger.head.get()).size, size)
      assert.is(subscribed.length, 0)
      await refusal(ledger.log.entry({ seq: size }), 'NOT_FOUND')
      await refusal(ledger.locks.status({ name: 'free' }), 'NOT_FOUND')
      release()
      await until('all answers', () => !states.includes('open'))
      assert.equal(states, ['answered', 'answered', 'LOCK_CONTENTION', 'answered', 'SIZE_MISMATCH'])
      assert.is((await ledger.head.get()).size, size + 2)
      await until('the subscriber', () => subscribed.length === 2)
      stop.abort()
      await reader
    },
    { wrapStore: store.wrap },
  )
})

test('a batch without entries is answered at once and writes nothing', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const held = await hold(ledger, { name: 'held', holder: 'a' })
      const before = ledger.counts
      const release = store.hold()
      await refusal(hold(ledger, { name: 'held', holder: 'b' }), 'LOCK_CONTENTION')
      assert.is((await hold(ledger, { name: 'held', holder: 'a', lock_id: held.lock_id })).replayed, true)
      release()
      assert.equal(ledger.counts, before)
    },
    { wrapStore: store.wrap },
  )
})

test('callers at one time share one write, and those just answered share the next', async () => {
  await withStage(async (ledger) => {
    const before = ledger.counts
    await Promise.all(
      Array.from({ length: 64 }, async (_, caller) => {
        for (let round = 0; round < 5; round += 1) {
          const lease = await hold(ledger, { name: `lock ${caller}`, holder: 'a' })
          await lease.release()
        }
      }),
    )
    const { batches, entries } = ledger.counts
    assert.is(entries - before.entries, 640)
    // Ten rounds of answers, ten batches; on a busy machine a round may pass the bound of milliseconds.
    assert.ok(batches - before.batches >= 10 && batches - before.batches <= 20, `${batches - before.batches} batches`)
  })
})

test('what comes while a write is under way goes into the next one, all of it or half of many', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const release = store.hold()
      const first = ledger.audit.append({ events: [event] })
      await until('the first write', () => store.batches.length === 1)
      const others = Array.from({ length: limits.batchHalvedFrom - 1 }, () => ledger.audit.append({ events: [event] }))
      await turns()
      assert.is(store.batches.length, 1, 'one write is in flight at a time')
      release()
      const answers = await Promise.all([first, ...others])
      assert.is(store.batches.length, 2)
      const many = Array.from({ length: limits.batchHalvedFrom + 1 }, () => ledger.audit.append({ events: [event] }))
      answers.push(...(await Promise.all(many)))
      assert.is(store.batches.length, 4)
      const seqs = answers.map(({ events }) => events[0]?.seq ?? -1)
      assert.equal(
        seqs,
        [...seqs].sort((left, right) => left - right),
        'in the order of the calls',
      )
    },
    { wrapStore: store.wrap },
  )
})

test('a batch of one command puts its entries, their rows and the head', async () => {
  await withStage(async (ledger) => {
    const before = ledger.counts
    const lease = await hold(ledger, { name: 'a', holder: 'a' })
    await lease.release()
    await ledger.audit.append({ events: [event, event] })
    const { batches, entries, puts } = ledger.counts
    assert.equal([batches - before.batches, entries - before.entries, puts - before.puts], [3, 4, 3 + 3 + 4])
  })
})

test('a batch is bounded in entries; what it does not reach stays in order', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const release = store.hold()
      const calls = 9
      const first = ledger.audit.append({ events: [event] })
      await until('the first write', () => store.batches.length === 1)
      const thousands = Array.from({ length: calls }, () =>
        ledger.audit.append({ events: Array.from({ length: 1_000 }, () => event) }),
      )
      release()
      const answers = await Promise.all([first, ...thousands])
      const sizes = store.batches.map(({ puts }) => puts.filter(({ key }) => key[0] === entryPrefix).length)
      assert.is(
        sizes.reduce((sum, size) => sum + size),
        1 + calls * 1_000,
      )
      assert.ok(sizes.length > 2)
      // The bound is looked at before each command, so a batch ends with the one that passes it.
      for (const size of sizes) assert.ok(size < limits.batchEntriesMax + 1_000, `${size} entries`)
      const seqs = answers.flatMap(({ events }) => events.map(({ seq }) => seq))
      assert.equal(
        seqs,
        seqs.map((_, index) => (seqs[0] ?? 0) + index),
      )
    },
    { wrapStore: store.wrap, self_check: false },
  )
})

const nothing = () => undefined
const noGround = { row: nothing, state: nothing, object: nothing, entry: nothing }

test('a plan is full at its bound of entries or of text, and not before', () => {
  const facts = {
    digestKey: undefined,
    firstSeq: 7,
    format: 1,
    ledgerId: 'testledger00',
    time: '2026-01-01T00:00:00.000Z',
    tokenOffset: 0,
    wallTime: undefined,
  }
  const draft = (notes: string) => ({ type: 'audit.recorded', stream: 'audit', data: { ...event, notes } })
  const byEntries = new Plan(facts, noGround)
  for (let count = 0; count < limits.batchEntriesMax; count += 1) {
    assert.is(byEntries.isFull, false)
    byEntries.add([draft('x')], { actor: testActor })
  }
  assert.is(byEntries.isFull, true)
  assert.is(byEntries.size, 7 + limits.batchEntriesMax)

  const byText = new Plan(facts, noGround)
  let text = 0
  while (text < limits.batchBytesMax) {
    assert.is(byText.isFull, false)
    const [entry] = byText.add([draft('x'.repeat(30_000))], { actor: testActor })
    text += JSON.stringify(entry).length
  }
  assert.is(byText.isFull, true)
})

test('an entry of exactly 32 KiB is appended; one byte more is refused and changes nothing', () =>
  withBareSequencer(async ({ log, submit }) => {
    const withNotes = (notes: string) => ({ action_type: 'system' as const, notes, outcome: 'success' as const })
    const append = (...notes: string[]) => submit({ type: 'audit.append', events: notes.map(withNotes) })
    const bytesOf = (entry: Entry | undefined) => Buffer.byteLength(JSON.stringify(entry))
    await append('')
    const [second] = (await append('')).entries
    const fitting = limits.entryBytes - bytesOf(second)
    const [exact] = (await append('n'.repeat(fitting))).entries
    assert.is(bytesOf(exact), limits.entryBytes)

    const { size } = log.head()
    const answers = await Promise.allSettled([
      append('before'),
      append('n'.repeat(fitting + 1)),
      append('small', 'n'.repeat(fitting + 1), 'small'),
      append('ü'.repeat(Math.floor(fitting / 2) + 1)),
      append('after'),
    ])
    assert.equal(
      answers.map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled'],
    )
    const error = await refusal(append('n'.repeat(fitting + 1)), 'LIMIT_EXCEEDED')
    assert.equal(error.details, { bytes: limits.entryBytes + 1, bytes_max: limits.entryBytes })
    assert.is(log.head().size, size + 2)
    assert.equal(log.entry(size + 1)?.prev, { stream: size })
    assert.is((await new Views(log).row('audit'))?.last_seq, size + 1)
  }))

test('the queue is bounded: one caller too many is refused, retryably, and the others are answered', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const release = store.hold()
      const first = ledger.audit.append({ events: [event] })
      await until('the write', () => store.batches.length === 1)
      // They are refused when their turn comes, so that the test writes little; in the queue they count all the same.
      const queued = Array.from({ length: limits.queueMax }, () =>
        ledger.audit.append({ events: [event], expected_size: 10_000 }),
      )
      const answers = Promise.allSettled(queued)
      const error = await refusal(ledger.audit.append({ events: [event] }), 'QUEUE_FULL')
      assert.is(error.retryable, true)
      release()
      await first
      const refused = (await answers).filter(
        (answer) => answer.status === 'rejected' && answer.reason.code === 'SIZE_MISMATCH',
      )
      assert.is(refused.length, limits.queueMax)
      assert.is((await ledger.audit.append({ events: [event] })).replayed, false)
    },
    { wrapStore: store.wrap },
  )
})

test('time never goes back, and wall_time says so where the wall clock differs by more than a second', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger, root) => {
      const start = clock.wall
      const appendAt = async (wall: number) => {
        clock.wall = wall
        await ledger.audit.append({ events: [event] })
        const { time, wall_time } = await newest(ledger)
        return [Date.parse(time) - start, wall_time === undefined ? undefined : Date.parse(wall_time) - start]
      }
      assert.equal(await appendAt(start), [0, undefined])
      assert.equal(await appendAt(start), [0, undefined])
      assert.equal(await appendAt(start - 1_000), [0, undefined])
      assert.equal(await appendAt(start - 1_001), [0, -1_001])
      assert.equal(await appendAt(start - 86_400_000), [0, -86_400_000])
      assert.equal(await appendAt(start + 5), [5, undefined])
      assert.equal(await appendAt(start + 86_400_000), [86_400_000, undefined])
      assert.equal(await appendAt(start + 6), [86_400_000, 6])
      assert.is(ledger.dir, root)
    },
    { now: clock.now },
  )
})

test('time does not go back across a restart either', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger, dir) => {
      await ledger.audit.append({ events: [event] })
      const before = await newest(ledger)
      await ledger.close()
      clock.wall -= 3_600_000
      const reopened = await openLedger({ dir, now: clock.now })
      await reopened.audit.append({ events: [event] })
      const after = await newest(reopened)
      await reopened.close()
      assert.is(after.time, before.time)
      assert.is(Date.parse(after.wall_time ?? ''), clock.wall)
    },
    { now: clock.now },
  )
})

test('when close has begun, calls are refused and what was under way is answered', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      const release = store.hold()
      const writing = ledger.audit.append({ events: [event] })
      await until('the write', () => store.batches.length === 1)
      const queued = ledger.audit.append({ events: [event] })
      const closed = ledger.close()
      const late = await refusal(ledger.audit.append({ events: [event] }), 'LEDGER_CLOSED')
      assert.is(late.details.outcome, 'not_applied')
      release()
      assert.is((await writing).replayed, false)
      assert.is((await queued).replayed, false)
      await closed
      await refusal(ledger.audit.append({ events: [event] }), 'LEDGER_CLOSED')
      await ledger.close()
    },
    { wrapStore: store.wrap },
  )
})

test('callers who go on and on do not keep a ledger from closing', async () => {
  await withStage(async (ledger) => {
    let rounds = 0
    const callers = Array.from({ length: 4 }, async (_, caller) => {
      for (;;) {
        await (await hold(ledger, { name: `lock ${caller}`, holder: 'a' })).release()
        rounds += 1
      }
    })
    const refusals = Promise.all(callers.map((caller) => refusal(caller, 'LEDGER_CLOSED')))
    await until('some rounds', () => rounds > 20)
    await ledger.close()
    assert.is((await refusals).length, 4)
  })
})

test.run()
