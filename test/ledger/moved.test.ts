import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { storedRow } from '../../src/domain/aggregates.ts'
import type { Acquire } from '../../src/domain/lock/commands.ts'
import { acquiredEvent } from '../../src/domain/lock/record.ts'
import { isoTime } from '../../src/kernel/clock.ts'
import type { Row } from '../../src/kernel/decider.ts'
import type { EventDraft } from '../../src/kernel/entry.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import { Views } from '../../src/views/views.ts'
import { Plan } from '../../src/writer/plan.ts'
import { refOf } from '../core/lock/steps.ts'
import { testActor } from '../support/ledger.ts'
import { type Bare, refusal, refusalOf, StageClock, turns, until, watch, withBareSequencer } from './stage.ts'

// There is no second writer yet; the log is made to answer "moved" as one behind another store will.

const test = suite('another writer came first')
const event = { action_type: 'system', outcome: 'success' } as const
const stream = 'lock/resource:a'

const acquire = (lock: string, more: Partial<Acquire> = {}): Acquire => ({
  type: 'lock.acquire',
  name: 'resource:a',
  holder: lock,
  lock_ref: refOf(lock),
  lease_duration_s: 60,
  evidence: [],
  ...more,
})
const release = (lock: string) => ({
  type: 'lock.release' as const,
  name: 'resource:a',
  lock_ref: refOf(lock),
  outcome: 'success' as const,
})
const append = { type: 'audit.append' as const, events: [event] }

interface Other {
  drafts: EventDraft[]
  time?: string
  request?: { key: string; sha256: string }
  /** Looks around between the other writer's append and the answer "moved". */
  meanwhile?: () => void
}

/** Lets another writer append before the next append of the sequencer, which then finds that the log has moved. */
function moveOnce(log: KeyedLog, { drafts, meanwhile, request, time = isoTime(Date.UTC(2040, 0, 3)) }: Other): void {
  const real = log.append.bind(log)
  log.append = async (...all) => {
    log.append = real
    const there = new Map<string, Row>()
    for await (const [name, row] of new Views(log).rows('')) there.set(name, row)
    const { size } = log.head()
    const facts = {
      digestKey: undefined,
      firstSeq: size,
      format: 2,
      ledgerId: 'testledger00',
      time,
      tokenOffset: 0,
      wallTime: undefined,
    }
    const plan = new Plan(facts, {
      row: (name) => there.get(name),
      state: (key) => log.get({ view: 'state', key }),
      object: () => undefined,
      entry: (seq) => log.entry(seq),
    })
    plan.add(drafts, { actor: testActor, request })
    const rows = Array.from(plan.rows, ([key, value]) => ({ view: 'row' as const, key, value: storedRow(key, value) }))
    await real({ size }, plan.recorded, rows, {})
    await turns()
    meanwhile?.()
    return real(...all)
  }
}

const grantEvent = (lock: string, clock: StageClock) =>
  acquiredEvent(acquire(lock), { now: clock.now(), token_offset: 0 })

test('the batch is decided again over what is there now, and nobody was told anything before', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, published, submit }) => {
    const calls = [submit(acquire('mine')), submit(append)]
    const states = watch(calls)
    let seenMeanwhile: string[] = []
    const meanwhile = () => {
      seenMeanwhile = [...states, `published ${published.length}`]
    }
    moveOnce(log, { drafts: [grantEvent('theirs', clock)], meanwhile })
    const [lost, kept] = await Promise.allSettled(calls)
    assert.equal(seenMeanwhile, ['open', 'open', 'published 0'])
    const error = await refusalOf(lost, 'LOCK_CONTENTION')
    assert.equal([error.details.holder, error.details.token], ['theirs', 0])
    assert.is(kept?.status === 'fulfilled' && kept.value.entries[0]?.seq, 1)
    assert.is(log.head().size, 2)
    assert.equal(
      published.map(({ seq, type }) => [seq, type]),
      [
        [0, 'lock.acquired'],
        [1, 'audit.recorded'],
      ],
      'the other writer’s entries are published too, before ours',
    )
  }, clock)
})

test('time does not go back behind the other writer’s', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, submit }) => {
    const time = isoTime(clock.wall + 3_600_000)
    moveOnce(log, { drafts: [grantEvent('theirs', clock)], time })
    const { entries } = await submit(append)
    assert.equal([entries[0]?.time, entries[0]?.wall_time], [time, isoTime(clock.wall)])
  }, clock)
})

test('a request that the other writer has answered is not done again', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, submit }) => {
    const request = { key: 'key', sha256: 'ab'.repeat(32) }
    moveOnce(log, { drafts: [{ type: 'audit.recorded', stream: 'audit', data: event }], request })
    const { entries, replayed } = await submit(append, { request })
    assert.equal([entries[0]?.seq, replayed, log.head().size], [0, true, 1])
  }, clock)
})

/** One who holds the lock and two who wait for it. */
async function lineOfTwo({ sequencer, submit }: Bare, waitMillis = 60_000) {
  await submit(acquire('0'))
  const line = () => ({ line: { mode: 'grant' as const, waitMillis } })
  const waiting = [submit(acquire('1'), line()), submit(acquire('2'), line())]
  await sequencer.settled()
  assert.is(sequencer.waiters.inFrontOf(stream, undefined), 2)
  return waiting
}

test('a waiter that was served in the void batch is in line again, and is served once', () => {
  const clock = new StageClock()
  return withBareSequencer(async (bare) => {
    const { log, sequencer, submit } = bare
    const waiting = await lineOfTwo(bare)
    const states = watch(waiting)
    moveOnce(log, { drafts: [{ type: 'audit.recorded', stream: 'audit', data: event }] })
    const [first] = await Promise.all([waiting[0], submit(release('0'))])
    assert.equal(
      first?.entries.map(({ seq, type }) => [seq, type]),
      [[3, 'lock.acquired']],
    )
    assert.equal(states, ['answered', 'open'])
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 1)
    const [second] = await Promise.all([waiting[1], submit(release('1'))])
    assert.is(second?.entries[0]?.seq, 5)
  }, clock)
})

test('a waiter that could be served in the void batch and cannot now goes on waiting in its place', () => {
  const clock = new StageClock()
  return withBareSequencer(async (bare) => {
    const { log, sequencer, submit } = bare
    const waiting = await lineOfTwo(bare)
    const states = watch(waiting)
    const drafts: EventDraft[] = [
      {
        type: 'lock.broken',
        stream,
        data: {
          by: 'BECCA',
          name: 'resource:a',
          previous_acquired: isoTime(clock.wall),
          previous_holder: '0',
          previous_token: 0,
          reason: 'x',
        },
      },
      grantEvent('theirs', clock),
    ]
    moveOnce(log, { drafts })
    await refusal(submit(release('0')), 'LOCK_NOT_HELD')
    assert.equal(states, ['open', 'open'])
    const [first] = await Promise.all([waiting[0], submit(release('theirs'))])
    assert.is(first?.entries[0]?.data.holder, '1')
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 1)
    await Promise.all([waiting[1], submit(release('1'))])
  }, clock)
})

test('who came into line in the void batch stands there once', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, sequencer, submit }) => {
    await submit(acquire('0'))
    moveOnce(log, { drafts: [{ type: 'audit.recorded', stream: 'audit', data: event }] })
    const waiting = submit(acquire('1'), { line: { mode: 'grant', waitMillis: 60_000 } })
    await submit(append)
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 1)
    const [outcome] = await Promise.all([waiting, submit(release('0'))])
    assert.is(outcome.entries[0]?.data.holder, '1')
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 0)
  }, clock)
})

test('who left in the void batch is answered, and has left', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, sequencer, submit }) => {
    await submit(acquire('0'))
    const controller = new AbortController()
    const line = { mode: 'grant' as const, waitMillis: 60_000, signal: controller.signal }
    const waiting = submit(acquire('1'), { line })
    await sequencer.settled()
    moveOnce(log, { drafts: [{ type: 'audit.recorded', stream: 'audit', data: event }] })
    const gaveUp = refusal(waiting, 'ABORTED')
    controller.abort()
    await submit(append)
    await gaveUp
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 0)
  }, clock)
})

test('who was called in in the void batch is called in again', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, sequencer, submit }) => {
    await submit(acquire('0'))
    const line = { mode: 'call' as const, waitMillis: 60_000 }
    const called = submit(acquire('1'), { line })
    await sequencer.settled()
    moveOnce(log, { drafts: [{ type: 'audit.recorded', stream: 'audit', data: event }] })
    await submit(release('0'))
    assert.equal((await called).entries, [])
    sequencer.waiters.endTurn(stream, line)
    await until('an empty line', () => sequencer.waiters.inFrontOf(stream, undefined) === 0)
  }, clock)
})

test('refusals that were counted in the void batch are counted once', () => {
  const clock = new StageClock()
  return withBareSequencer(async ({ log, submit }) => {
    const guarded = { ...append, guard: { name: 'resource:a', token: 7 } }
    await refusal(submit(guarded), 'STALE_TOKEN')
    moveOnce(log, { drafts: [{ type: 'audit.recorded', stream: 'audit', data: event }] })
    const refused = refusal(submit(guarded), 'STALE_TOKEN')
    await submit(append)
    await refused
    clock.pass(10_000)
    await refusal(submit(guarded), 'STALE_TOKEN')
    const last = log.head().size - 1
    assert.equal([log.entry(last - 1)?.data.count, log.entry(last)?.type], [1, 'lock.refused'])
  }, clock)
})

test.run()
