import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/kernel/limits.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { entriesOf } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor, testClock } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'
import { startRuns } from '../support/turns.ts'
import { refusal, until, withStage } from './stage.ts'

const test = suite('counted refusals')
const run_id = 'run_one_1'
const stranger = { actor_id: 'agent-2', actor_type: 'agent' } as const
const event = { action_type: 'system', outcome: 'success' } as const

/** A call with a stale token of a lock. It is refused, and the refusal is recorded on the stream of the lock. */
async function stale(ledger: LocalLedger, name: string, actor: { actor_id: string; actor_type: 'agent' } = testActor) {
  await refusal(ledger.audit.append({ events: [event], guard: { name, token: 1 }, actor }), 'STALE_TOKEN')
}

/** How many refusals the entries show: those with an entry of their own, and those that were counted. */
async function shown(ledger: LocalLedger): Promise<{ own: number; counted: number; counts: number }> {
  const entries = await entriesOf(ledger)
  const counts = entries.filter(({ type }) => type === 'audit.refusals_counted')
  return {
    own: entries.filter(({ type }) => /refused$|rejected$/.test(type)).length,
    counted: counts.reduce((sum, { data }) => sum + Number(data.count), 0),
    counts: counts.length,
  }
}

test('each different refused attempt on a run is an entry of its own', () =>
  withStage(
    async (ledger) => {
      await startRuns(ledger, [run_id])
      const as = { run_id, actor: stranger }
      const action = { action_type: 'tool_call', lane_id: 'L', scope: {}, target: { name: 'a' } } as const
      const error = { error_code: 'E', message: 'm', retryable: false }
      const turn = { ...as, turn_id: 'turn-0001' }
      const attempts = [
        () => ledger.runs.start(as),
        () => ledger.runs.heartbeat(as),
        () => ledger.runs.authorize({ ...as, action }),
        () => ledger.runs.authorize({ ...as, action: { ...action, target: { name: 'b' } } }),
        () => ledger.runs.record({ ...as, decision_id: 'evt_none_1', outcome: 'success' }),
        () => ledger.runs.complete({ ...as, outcome_reason: 'x' }),
        () => ledger.runs.fail({ ...as, error, outcome_reason: 'x' }),
        () => ledger.runs.deny({ ...as, outcome_reason: 'x' }),
        () => ledger.runs.cancel({ ...as, outcome_reason: 'x' }),
        () => ledger.turns.stage({ ...turn, triplets: [] }),
        () => ledger.turns.promote(turn),
      ]
      for (const attempt of attempts) await refusal(attempt(), 'NOT_RUN_ACTOR')
      assert.equal(await shown(ledger), { own: 11, counted: 0, counts: 0 })
    },
    { now: testClock(Date.UTC(2100, 0, 2)).now },
  ))

test('invalid promotion attempts are rejected and logged, each of them', () =>
  withStage(
    async (ledger) => {
      await startRuns(ledger, [run_id])
      for (const number of [2, 3, 4, 5, 6]) {
        const turn_id = `turn-000${number}`
        await refusal(ledger.turns.promote({ run_id, turn_id }), 'E_PROMOTION_OUT_OF_ORDER')
      }
      const entries = (await entriesOf(ledger)).filter(({ type }) => type === 'turn.promotion_rejected')
      assert.equal(
        entries.map(({ data }) => data.turn_id),
        ['turn-0002', 'turn-0003', 'turn-0004', 'turn-0005', 'turn-0006'],
      )
    },
    { now: testClock(Date.UTC(2100, 0, 2)).now },
  ))

test('equal refusals within 10 s are counted, and the count is recorded when the 10 s are over', async () => {
  const clock = testClock(Date.UTC(2100, 0, 2))
  await withStage(
    async (ledger) => {
      for (let at = 0; at < 4; at += 1) await stale(ledger, 'a')
      assert.equal(await shown(ledger), { own: 1, counted: 0, counts: 0 })
      const first = (await entriesOf(ledger)).findLast(({ type }) => type === 'lock.refused')
      clock.advance(9_999)
      await ledger.audit.append({ events: [event] })
      assert.equal(await shown(ledger), { own: 1, counted: 0, counts: 0 })
      clock.advance(1)
      await ledger.audit.append({ events: [event] })
      assert.equal(await shown(ledger), { own: 1, counted: 3, counts: 1 })
      const count = (await entriesOf(ledger)).findLast(({ type }) => type === 'audit.refusals_counted')
      assert.is(count?.stream, first?.stream)
      assert.equal(count?.actor, first?.actor)
      assert.is(count?.data.like, first?.event_id)
      assert.equal(count?.data.codes, [{ code: 'STALE_TOKEN', count: 3 }])
      const { events } = await ledger.audit.list({ lock: 'a' })
      assert.equal(
        events.map(({ outcome_reason }) => outcome_reason),
        ['STALE_TOKEN', '3 more refusals: STALE_TOKEN 3'],
      )
      await stale(ledger, 'a')
      assert.equal(await shown(ledger), { own: 2, counted: 3, counts: 1 })
    },
    { now: clock.now },
  )
})

test('a count is recorded in time although no other command comes', async () => {
  const clock = testClock(Date.UTC(2100, 0, 2))
  await withStage(
    async (ledger) => {
      await stale(ledger, 'a')
      clock.advance(9_999)
      await stale(ledger, 'a')
      clock.advance(1)
      await until('the count', async () => (await shown(ledger)).counts === 1)
      assert.equal(await shown(ledger), { own: 1, counted: 1, counts: 1 })
    },
    { now: clock.now },
  )
})

test('a count is recorded when the ledger is closed', async () => {
  const dir = temporaryRoot()
  const ledger = await openLedger({ dir, actor: testActor, create: true, policy: true })
  await startRuns(ledger, [run_id])
  for (let at = 0; at < 5; at += 1) {
    await refusal(ledger.runs.cancel({ run_id, actor: stranger, outcome_reason: 'x' }), 'NOT_RUN_ACTOR')
  }
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
  await ledger.close()
  const again = await openLedger({ dir, actor: testActor })
  assert.equal(await shown(again), { own: 1, counted: 4, counts: 1 })
  const { events } = await again.audit.list({ run_id })
  assert.equal([events.at(-1)?.outcome_reason, events.at(-1)?.outcome], ['4 more refusals: NOT_RUN_ACTOR 4', 'deny'])
  await again.close()
  await endsWithVerify(dir)
})

test('an actor has at most 60 refusals on record in a minute, and the rest is one count', async () => {
  const clock = testClock(Date.UTC(2100, 0, 2))
  await withStage(
    async (ledger) => {
      for (let at = 0; at < 100; at += 1) await stale(ledger, `lock-${at}`)
      await stale(ledger, 'lock-0', stranger)
      assert.equal(await shown(ledger), { own: 61, counted: 0, counts: 0 })
      clock.advance(60_000)
      await ledger.audit.append({ events: [event] })
      assert.equal(await shown(ledger), { own: 61, counted: 40, counts: 1 })
      const count = (await entriesOf(ledger)).findLast(({ type }) => type === 'audit.refusals_counted')
      assert.equal([count?.actor.actor_id, count?.stream, count?.data.like], [testActor.actor_id, 'audit', undefined])
      await stale(ledger, 'lock-0')
      assert.equal(await shown(ledger), { own: 62, counted: 40, counts: 1 })
    },
    { now: clock.now },
  )
})

test('inventing actors does not lift the limits', async () => {
  const clock = testClock(Date.UTC(2100, 0, 2))
  const dir = temporaryRoot()
  const ledger = await openLedger({ dir, actor: testActor, create: true, now: clock.now, policy: false })
  const actors = limits.refusalActorsMax + 200
  const attempt = (at: number) => stale(ledger, 'a', { actor_id: `agent-${at}`, actor_type: 'agent' })
  await Promise.all(Array.from({ length: actors }, (_, at) => attempt(at)))
  await ledger.close()
  const again = await openLedger({ dir, actor: testActor })
  const own = limits.refusalActorsMax + limits.refusalsPerMinute
  assert.equal(await shown(again), { own, counted: actors - own, counts: 1 })
  const count = (await entriesOf(again)).at(-1)
  assert.equal(count?.actor, { actor_id: 'lockstep:other-actors', actor_type: 'system' })
  await again.close()
  await endsWithVerify(dir)
})

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 3)

test('generated attempts: none is lost, and no actor has more than 60 on record in a minute', async () => {
  const random = randomBelow('counted refusals')
  for (let round = 0; round < rounds; round += 1) {
    const clock = testClock(Date.UTC(2100, 0, 2))
    const dir = temporaryRoot()
    const ledger = await openLedger({ dir, actor: testActor, create: true, now: clock.now, policy: false })
    const names = 1 + random(90)
    const [actors, steps] = [1 + random(3), 150 + random(250)]
    let made = 0
    const attempts: Promise<unknown>[] = []
    for (let step = 0; step < steps; step += 1) {
      const dice = random(20)
      if (dice === 0) {
        await Promise.all(attempts.splice(0))
        clock.advance(random(3) === 0 ? random(70_000) : random(12_000))
      } else if (dice === 1) {
        attempts.push(ledger.audit.append({ events: [event] }))
      } else {
        made += 1
        const actor = { actor_id: `agent-${random(actors)}`, actor_type: 'agent' } as const
        attempts.push(stale(ledger, `lock-${random(names)}`, actor))
      }
    }
    await Promise.all(attempts)
    await ledger.close()
    const again = await openLedger({ dir, actor: testActor })
    const { counted, own } = await shown(again)
    assert.is(own + counted, made, `round ${round}`)
    for (const actor_id of new Set((await entriesOf(again)).map(({ actor }) => actor.actor_id))) {
      const times = (await entriesOf(again))
        .filter(({ actor, data, type }) => actor.actor_id === actor_id && (type === 'lock.refused' || data.like))
        .map(({ time }) => Date.parse(time))
      for (const [at, time] of times.entries()) {
        const before = times[at - limits.refusalsPerMinute]
        assert.ok(before === undefined || time - before >= 60_000, `round ${round}: ${actor_id} has more than 60`)
      }
    }
    await again.close()
    await endsWithVerify(dir)
  }
})

test.run()
