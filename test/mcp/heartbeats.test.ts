import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { Heartbeats } from '../../src/mcp/heartbeats.ts'
import { until } from '../support/service.ts'

const test = suite('heartbeats of a session')

class Lost extends Error {}

/** Heartbeats whose renewals are listed; `fail` makes the next ones fail. */
function beating(idleMillis = 60_000) {
  const renewed: string[] = []
  const state = { failure: undefined as Error | undefined, idleMillis }
  const heartbeats = new Heartbeats({
    idleMillisMax: () => state.idleMillis,
    isLoss: (error) => error instanceof Lost,
    renew: async (lock_id) => {
      renewed.push(lock_id)
      if (state.failure !== undefined) throw state.failure
    },
  })
  return { heartbeats, renewed, state }
}

const lease = (lock_id: string, lease_duration_s: number | null = 0.03) => ({ lease_duration_s, lock_id })

test('a lease is renewed again and again until it is forgotten', async () => {
  const { heartbeats, renewed } = beating()
  heartbeats.keep(lease('a'))
  heartbeats.keep(lease('b'))
  await until('both were renewed twice', () => ['a', 'b'].every((id) => renewed.filter((one) => one === id).length > 1))
  heartbeats.forget('a')
  const before = renewed.filter((one) => one === 'a').length
  await until('b was renewed twice more', () => renewed.slice(-2).every((one) => one === 'b'))
  ok(renewed.filter((one) => one === 'a').length <= before)
  heartbeats.close()
  equal(heartbeats.lock_ids, [])
})

test('a lock without a lease is not renewed, and a lost one is forgotten', async () => {
  const { heartbeats, renewed, state } = beating()
  heartbeats.keep(lease('project', null))
  equal(heartbeats.lock_ids, [])
  state.failure = new Lost()
  heartbeats.keep(lease('a'))
  await until('it is forgotten', () => heartbeats.lock_ids.length === 0)
  equal(renewed, ['a'])
})

test('a renewal that failed for another reason is tried again', async () => {
  const { heartbeats, renewed, state } = beating()
  state.failure = new Error('the service is away')
  heartbeats.keep(lease('a'))
  await until('it was tried twice', () => renewed.length > 1)
  equal(heartbeats.lock_ids, ['a'])
  heartbeats.close()
})

test('leases rest after a time without calls, and a call wakes them', async () => {
  const { heartbeats, renewed } = beating(30)
  heartbeats.keep(lease('a', 0.3))
  const clock = beating()
  clock.heartbeats.keep(lease('b', 0.6))
  await until('a lease of twice the length was renewed', () => clock.renewed.length > 0)
  clock.heartbeats.close()
  equal([renewed, heartbeats.lock_ids], [[], ['a']])
  heartbeats.touch()
  equal(renewed, ['a'])
  heartbeats.close()
})

test.run()
