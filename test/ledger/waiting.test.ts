import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Acquire } from '../../src/domain/lock/commands.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { limits } from '../../src/kernel/limits.ts'
import type { Ledger } from '../../src/ledger.ts'
import type { Lease } from '../../src/nouns/locks/lease.ts'
import type { Line } from '../../src/writer/submission.ts'
import { evidenceOf, refOf } from '../core/lock/steps.ts'
import { scene } from '../support/scene.ts'
import { type Bare, refusal, StageClock, turns, until, watch, withBareSequencer, withStage } from './stage.ts'

const test = suite('waiting')
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const
const lockId = (number: number) => `lck_${String(number).padStart(16, '0')}`
const waitFor = (ledger: Ledger, holder: string, more: { lock_id?: string; signal?: AbortSignal } = {}) =>
  ledger.locks.acquire({ name: 'a', holder, wait_s: 60, ...more })

test('who came first is served first, each in the batch that frees the lock', async () => {
  await withStage(async (ledger) => {
    let lease: Lease = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const waiting = ['1', '2', '3'].map((holder) => waitFor(ledger, holder))
    await until('three waiters', async () => (await ledger.locks.status('a')).waiting === 3)
    for (const [index, next] of waiting.entries()) {
      const { size } = ledger.head()
      const { batches } = ledger.counts
      const states = watch(waiting)
      const [granted] = await Promise.all([next, lease.release()])
      lease = granted
      assert.equal([lease.holder, lease.token, lease.replayed], [String(index + 1), size + 1, false])
      assert.is((await ledger.entry(size)).type, 'lock.released')
      assert.is(ledger.counts.batches, batches + 1)
      assert.is(states.filter((state) => state === 'answered').length, index + 1)
      assert.is((await ledger.locks.status('a')).waiting, 2 - index)
    }
    await lease.release()
  })
})

test('a newcomer in the batch of the release goes behind who waits, or is refused', async () => {
  await withStage(async (ledger) => {
    const first = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const second = waitFor(ledger, '1')
    await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
    const [, refused, third] = [
      first.release(),
      refusal(ledger.locks.acquire({ name: 'a', holder: 'in a hurry' }), 'LOCK_CONTENTION'),
      waitFor(ledger, '2'),
    ]
    assert.is((await second).holder, '1')
    assert.is((await refused).details.holder, '1')
    await (await second).release()
    assert.is((await third).holder, '2')
  })
})

test('a lock that is free is had at once, waiting or not', async () => {
  await withStage(async (ledger) => {
    assert.is((await waitFor(ledger, '1')).replayed, false)
    assert.is((await ledger.locks.status('a')).waiting, 0)
  })
})

test('a grant to a waiter counts from the moment it is given, and is remembered', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      const first = await ledger.locks.acquire({ name: 'a', holder: '0' })
      const waiting = waitFor(ledger, '1', { lock_id: lockId(1) })
      await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
      clock.pass(600_000)
      await first.release()
      const lease = await waiting
      assert.is(Date.parse(lease.acquired), clock.wall)
      const again = await waitFor(ledger, '1', { lock_id: lockId(1) })
      assert.equal([again.token, again.replayed], [lease.token, true])
    },
    { now: clock.now },
  )
})

test('a wait ends with TIMED_OUT, the report of the holder and what to do', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const { size } = ledger.head()
    const error = await refusal(ledger.locks.acquire({ name: 'a', holder: '1', wait_s: 1 }), 'TIMED_OUT')
    assert.equal([error.details.holder, error.details.token, error.details.pid], ['0', held.token, process.pid])
    assert.equal([error.retryable, error.hint], [true, 'Retry with the same lock_id.'])
    assert.match(error.message, 'within 1 s')
    assert.is((await ledger.locks.status('a')).waiting, 0)
    assert.is(ledger.head().size, size, 'it is not recorded')
  })
})

test(
  'where contention is recorded, a wait that came to nothing is too, under its own code and once in ten seconds',
  scene(
    async ({ ledger }) => {
      await ledger.locks.acquire({ name: 'a', holder: '0' })
      const inVain = () => refusal(ledger.locks.acquire({ name: 'a', holder: '1', wait_s: 1 }), 'TIMED_OUT')
      const [error] = await Promise.all([inVain(), inVain()])
      await refusal(ledger.locks.acquire({ name: 'a', holder: '1' }), 'LOCK_CONTENTION')
      const controller = new AbortController()
      const givenUp = refusal(waitFor(ledger, '1', { signal: controller.signal }), 'ABORTED')
      await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
      controller.abort()
      await givenUp
      const [contention, timeout, ...before] = await ledger.locks.history('a')
      assert.equal([contention?.type, contention?.data.code], ['lock.refused', 'LOCK_CONTENTION'])
      assert.equal([timeout?.data.code, timeout?.data.message], ['TIMED_OUT', error.message])
      assert.equal(
        before.map(({ type }) => type),
        ['lock.acquired'],
      )
    },
    { config: { record_contention: true } },
  ),
)

test('who gives up leaves the line, and those behind move up', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const controller = new AbortController()
    const first = refusal(waitFor(ledger, '1', { signal: controller.signal }), 'ABORTED')
    const second = waitFor(ledger, '2')
    await until('two waiters', async () => (await ledger.locks.status('a')).waiting === 2)
    controller.abort()
    const error = await first
    assert.equal([error.details.holder, error.retryable], ['0', true])
    assert.is((await ledger.locks.status('a')).waiting, 1)
    await held.release()
    assert.is((await second).holder, '2')
    assert.is(getEventListeners(controller.signal, 'abort').length, 0)
  })
})

test('a signal that was aborted before is obeyed', async () => {
  await withStage(async (ledger) => {
    await ledger.locks.acquire({ name: 'a', holder: '0' })
    await refusal(waitFor(ledger, '1', { signal: AbortSignal.abort() }), 'ABORTED')
    assert.is((await ledger.locks.status('a')).waiting, 0)
  })
})

test('giving up after the grant takes nothing back', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const controller = new AbortController()
    const { signal } = controller
    const waiting = waitFor(ledger, '1', { signal })
    await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
    await held.release()
    const lease = await waiting
    assert.is(getEventListeners(signal, 'abort').length, 0, 'nobody listens any more')
    controller.abort()
    await turns()
    assert.equal(
      [(await ledger.locks.status('a')).state, (await ledger.locks.status('a')).token],
      ['held', lease.token],
    )
  })
})

test('a waiter that is served in the batch it came in leaves nothing behind', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const { signal } = new AbortController()
    const [lease] = await Promise.all([waitFor(ledger, '1', { signal }), held.release()])
    assert.is(lease.holder, '1')
    assert.is(getEventListeners(signal, 'abort').length, 0)
  })
})

test('a lease that runs out hands over to the first waiter, with its recovery in the same batch', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      const held = await ledger.locks.acquire({ name: 'a', holder: '0', lease_duration_s: 60 })
      clock.pass(59_995)
      const waiting = waitFor(ledger, '1')
      await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
      await turns()
      assert.is((await ledger.locks.status('a')).holder, '0', 'not a moment too soon')
      clock.pass(5)
      const lease = await waiting
      const { data, type } = await ledger.entry(lease.token - 1)
      assert.equal(
        [type, data.recovery_reason, data.previous_token, data.mode],
        ['lock.recovered', 'lease_expired', held.token, 'automatic'],
      )
    },
    { now: clock.now },
  )
})

test('a renewal keeps waiters waiting', async () => {
  const clock = new StageClock()
  await withStage(
    async (ledger) => {
      const held = await ledger.locks.acquire({ name: 'a', holder: '0', lease_duration_s: 60 })
      clock.pass(59_998)
      const waiting = waitFor(ledger, '1')
      await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
      await held.renew()
      clock.pass(59_998)
      await new Promise((resolve) => setTimeout(resolve, 10))
      assert.is((await ledger.locks.status('a')).holder, '0')
      await held.release()
      assert.is((await waiting).holder, '1')
    },
    { now: clock.now },
  )
})

test('a holder that dies hands over to the first waiter', async () => {
  await withStage(async (ledger) => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    await once(child, 'spawn')
    const held = await ledger.locks.acquire({ name: 'a', holder: '0', pids: [child.pid ?? 0] })
    const waiting = waitFor(ledger, '1')
    await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
    child.kill('SIGKILL')
    const lease = await waiting
    const { data } = await ledger.entry(lease.token - 1)
    assert.equal([data.recovery_reason, data.previous_token], ['pid_dead', held.token])
  })
})

test('close refuses who waits, with what to do, and the same lock_id works after opening', async () => {
  await withStage(async (ledger) => {
    await ledger.locks.acquire({ name: 'a', holder: '0' })
    const { signal } = new AbortController()
    const waiting = refusal(waitFor(ledger, '1', { signal }), 'LEDGER_CLOSED')
    await until('a waiter', async () => (await ledger.locks.status('a')).waiting === 1)
    await ledger.close()
    const error = await waiting
    assert.is(error.details.outcome, 'not_applied')
    assert.match(error.hint ?? '', 'the same lock_id')
    assert.is(getEventListeners(signal, 'abort').length, 0)
  })
})

test('the same acquisition twice in line is one: both get the answer when the first is served', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'a', holder: '0' })
    const first = waitFor(ledger, '1', { lock_id: lockId(1) })
    const between = waitFor(ledger, '2', { lock_id: lockId(2) })
    const again = waitFor(ledger, '1', { lock_id: lockId(1) })
    const twisted = refusal(waitFor(ledger, 'else', { lock_id: lockId(1) }), 'IDEMPOTENCY_MISMATCH')
    const theirs = ledger.locks.acquire({ name: 'a', holder: '1', wait_s: 60, lock_id: lockId(1), actor: other })
    await until('five waiters', async () => (await ledger.locks.status('a')).waiting === 5)
    await held.release()
    const lease = await first
    assert.equal([(await again).token, (await again).replayed], [lease.token, true])
    await twisted
    assert.is((await ledger.locks.status('a')).waiting, 2)
    await lease.release()
    await (await between).release()
    assert.equal([(await theirs).replayed, (await theirs).token > lease.token], [false, true])
  })
})

test('several at once do not wait, and are told of the one that is held', async () => {
  await withStage(async (ledger) => {
    const held = await ledger.locks.acquire({ name: 'b', holder: '0' })
    const waiting = ledger.locks.acquire({ name: 'b', holder: '1', wait_s: 60 })
    await until('a waiter', async () => (await ledger.locks.status('b')).waiting === 1)
    const error = await refusal(ledger.locks.acquireAll({ names: ['a', 'b'], holder: '2' }), 'LOCK_CONTENTION')
    assert.equal([error.details.name, error.details.holder], ['resource:b', '0'])
    await held.release()
    await waiting
  })
})

const stream = 'lock/resource:a'
const acquireCommand = (lock: string, more: Partial<Acquire> = {}): Acquire => ({
  type: 'lock.acquire',
  name: 'resource:a',
  holder: lock,
  lock_ref: refOf(lock),
  lease_duration_s: 60,
  evidence: [evidenceOf(100)],
  ...more,
})
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

test('a line behind a long lease is looked at every ten seconds, for timers stand still while a machine is suspended', () =>
  withBareSequencer(async ({ sequencer, submit }) => {
    await submit(acquireCommand('0', { lease_duration_s: 86_400 }))
    const real = globalThis.setTimeout
    const delays: unknown[] = []
    const noting = (work: () => void, millis?: number) => {
      delays.push(millis)
      return real(work, millis)
    }
    try {
      globalThis.setTimeout = noting as typeof setTimeout
      const waiting = refusal(
        submit(acquireCommand('1'), { line: { mode: 'grant', waitMillis: 60_000 } }),
        'LEDGER_CLOSED',
      )
      await sequencer.settled()
      assert.equal(delays, [60_000, 10_000])
      await sequencer.close()
      await waiting
    } finally {
      globalThis.setTimeout = real
    }
  }))

test('the line is bounded: one waiter too many is refused as if it did not wait', () =>
  withBareSequencer(async ({ sequencer, submit }) => {
    await submit(acquireCommand('0'))
    const line = () => ({ line: { mode: 'grant' as const, waitMillis: 600_000 } })
    const waiting = Array.from({ length: limits.waitersMax }, (_, index) =>
      submit(acquireCommand(`${index + 1}`), line()),
    )
    const answers = Promise.allSettled(waiting)
    await sequencer.settled()
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), limits.waitersMax)
    const error = await refusal(submit(acquireCommand('one more'), line()), 'LOCK_CONTENTION')
    assert.is(error.details.holder, '0')
    await submit({ type: 'lock.release', name: 'resource:a', lock_ref: refOf('0'), outcome: 'success' })
    assert.is(grantedTo((await waiting[0])?.entries ?? []), '1')
    const last = submit(acquireCommand('one more'), line())
    const closed = refusal(last, 'LEDGER_CLOSED')
    await sequencer.settled()
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), limits.waitersMax)
    await sequencer.close()
    await closed
    const refused = (await answers).filter(
      (answer) => answer.status === 'rejected' && answer.reason.code === 'LEDGER_CLOSED',
    )
    assert.is(refused.length, limits.waitersMax - 1)
    assert.is(sequencer.waiters.inFrontOf(stream, undefined), 0)
  }))

test.run()
