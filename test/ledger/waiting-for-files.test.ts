import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import type { Line } from '../../src/writer/submission.ts'
import { refOf } from '../core/lock/steps.ts'
import { acquireCommand } from '../support/called-in.ts'
import { type Bare, refusal, StageClock, watch, withBareSequencer } from './stage.ts'

const test = suite('waiters that are called in')

const stream = 'lock/resource:a'
const grantedTo = (entries: readonly Entry[]) => entries.find(({ type }) => type === 'lock.acquired')?.data.holder

/** A caller who stands in line to be called in: the way of deliverables, whose file is claimed before the append. */
function standIn(
  { submit }: Bare,
  lock: string,
  waitMillis = 60_000,
): { line: Line; called: ReturnType<Bare['submit']> } {
  const line: Line = { mode: 'call', waitMillis }
  return { line, called: submit(acquireCommand(lock), { line }) }
}

test('who is called in keeps its place until its turn ends: nobody else is served or slips in', () =>
  withBareSequencer(async (bare) => {
    const { sequencer, submit } = bare
    await submit(acquireCommand('0'))
    const first = standIn(bare, '1')
    const second = standIn(bare, '2')
    const states = watch([first.called, second.called])
    await submit({ type: 'lock.release', name: 'resource:a', lock_ref: refOf('0'), outcome: 'success' })
    assert.equal((await first.called).entries, [], 'called in, not granted')
    const error = await refusal(submit(acquireCommand('newcomer')), 'LOCK_CONTENTION')
    assert.equal([error.details.holder, error.details.waiting], ['waiters', 2])
    sequencer.poke(stream)
    await sequencer.settled()
    assert.equal(states, ['answered', 'open'])
    assert.is(grantedTo((await submit(acquireCommand('1'), { calledFrom: first.line })).entries), '1')
    sequencer.waiters.endTurn(stream, first.line)
    await sequencer.settled()
    assert.is(states[1], 'open', 'the lock is held now')
    await submit({ type: 'lock.release', name: 'resource:a', lock_ref: refOf('1'), outcome: 'success' })
    assert.is((await second.called).replayed, false)
    sequencer.waiters.endTurn(stream, second.line)
    await sequencer.settled()
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 0)
  }))

test('who waits to be called in and runs out of time is told of the holder too', () =>
  withBareSequencer(async (bare) => {
    const { entries } = await bare.submit(acquireCommand('0'))
    const first = standIn(bare, '1')
    const late = standIn(bare, '2', 5)
    const error = await refusal(late.called, 'TIMED_OUT')
    assert.equal([error.details.holder, error.details.token], ['0', entries[0]?.seq])
    const closed = refusal(first.called, 'LEDGER_CLOSED')
    await bare.sequencer.close()
    await closed
  }))

test('a turn that comes to nothing calls in the next', () =>
  withBareSequencer(async (bare) => {
    const first = standIn(bare, '1')
    const second = standIn(bare, '2')
    await first.called
    bare.sequencer.waiters.endTurn(stream, first.line)
    await second.called
    bare.sequencer.waiters.endTurn(stream, second.line)
    await bare.sequencer.settled()
    assert.is(bare.sequencer.waiters.inFrontOf(stream, undefined), 0)
  }))

test('who was called in and runs out of time does not hold up the next', () =>
  withBareSequencer(async (bare) => {
    const first = standIn(bare, '1', 5)
    const second = standIn(bare, '2')
    await first.called
    await second.called
    bare.sequencer.waiters.endTurn(stream, first.line)
    bare.sequencer.waiters.endTurn(stream, second.line)
    await bare.sequencer.settled()
    assert.is(bare.sequencer.waiters.inFrontOf(stream, undefined), 0)
  }))

test('while somebody is called in, an expired lease behind which others wait sets off nothing', () => {
  const clock = new StageClock()
  let looks = 0
  const now = clock.now
  const counting = Object.assign(clock, {
    now: () => {
      looks += 1
      return now()
    },
  })
  return withBareSequencer(async (bare) => {
    await bare.submit(acquireCommand('0', { lease_duration_s: 1 }))
    clock.pass(1_000)
    const first = standIn(bare, '1')
    const second = standIn(bare, '2')
    const states = watch([second.called])
    await first.called
    await bare.sequencer.settled()
    const before = looks
    await new Promise((resolve) => setTimeout(resolve, 30))
    assert.is(looks, before)
    assert.equal(states, ['open'])
    bare.sequencer.waiters.endTurn(stream, first.line)
    await second.called
    bare.sequencer.waiters.endTurn(stream, second.line)
    await bare.sequencer.settled()
  }, counting)
})

test.run()
