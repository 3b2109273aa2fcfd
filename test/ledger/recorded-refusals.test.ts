import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { testActor } from '../support/ledger.ts'
import { newest } from '../support/newest.ts'
import { refusal, StageClock, withStage } from './stage.ts'

const test = suite('refusals on record')
const event = { action_type: 'system', outcome: 'success' } as const
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const

test('equal refusals of an actor on a stream are recorded once in 10 s', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      const guard = (name: string) => ({ guard: { name, token: 1 } })
      const stale = async (name = 'a', actor: { actor_id: string; actor_type: 'agent' } = testActor) => {
        const { size } = await ledger.head.get()
        await refusal(ledger.audit.append({ events: [event], ...guard(name), actor }), 'STALE_TOKEN')
        return (await ledger.head.get()).size - size
      }
      assert.is(await stale(), 1)
      assert.is(await stale(), 0)
      assert.is(await stale('b'), 1, 'another stream')
      assert.is(await stale('a', other), 1, 'another actor')
      await refusal(ledger.locks.break({ name: 'a', reason: 'x' }), 'RELEASE_DENIED')
      assert.is((await newest(ledger)).data.code, 'RELEASE_DENIED', 'another code')
      clock.pass(9_999)
      assert.is(await stale(), 0)
      clock.pass(1)
      assert.is(await stale(), 2, 'the count of those left out, and the refusal')
      clock.pass(10_000)
      assert.is(await stale(), 1, 'each is counted once')
    },
    { now: clock.now },
  )
})

test('refusals in one batch are recorded once too', async () => {
  await withStage(async (ledger) => {
    const { size } = await ledger.head.get()
    const refused = Array.from({ length: 10 }, () =>
      ledger.audit.append({ events: [event], guard: { name: 'a', token: 1 } }),
    )
    for (const { status } of await Promise.allSettled(refused)) assert.is(status, 'rejected')
    assert.is((await ledger.head.get()).size, size + 1)
  })
})

test('a jump of the wall clock does not change the 10 s', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      const stale = async () => {
        const { size } = await ledger.head.get()
        await refusal(ledger.audit.append({ events: [event], guard: { name: 'a', token: 1 } }), 'STALE_TOKEN')
        return (await ledger.head.get()).size - size
      }
      assert.is(await stale(), 1)
      clock.pass(1_000, -86_400_000)
      assert.is(await stale(), 0)
      clock.pass(8_999, 86_400_000)
      assert.is(await stale(), 0)
      clock.pass(1)
      assert.is(await stale(), 2)
    },
    { now: clock.now },
  )
})

test('contention, timeouts and input errors are not recorded', async () => {
  await withStage(async (ledger) => {
    await hold(ledger, { name: 'a', holder: 'a' })
    const { size } = await ledger.head.get()
    await refusal(hold(ledger, { name: 'a', holder: 'b' }), 'LOCK_CONTENTION')
    await refusal(hold(ledger, { name: '', holder: 'b' }), 'INVALID_INPUT')
    await refusal(ledger.audit.append({ events: [event], expected_size: 0 }), 'SIZE_MISMATCH')
    await refusal(ledger.locks.recover({ name: 'a', reason: 'x' }), 'LOCK_NOT_ORPHAN')
    assert.is((await ledger.head.get()).size, size)
  })
})

test.run()
