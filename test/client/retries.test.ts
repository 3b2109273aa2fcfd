import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { isRepeatable } from '../../src/client/remote-api.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { all, newName, refused } from '../api/stage.ts'
import { randomBelow } from '../support/seed.ts'
import { type Fate, type Seen, staged } from './go-between.ts'

const test = suite('a client whose requests fail')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const event = { action_type: 'system', outcome: 'success' } as const

/** Every request meets the next fate; after the last one, all pass. */
function inTurn(...fates: Fate[]): (seen: Seen) => Fate {
  return () => fates.shift() ?? 'passes'
}

const typesSince = async (ledger: LocalLedger, from: number) =>
  (await all(ledger.log.read({ from }))).map(({ type }) => type)

test('repeats no release of a project, even with a lock_id that has no value', () => {
  const release = { kind: 'command', name: 'locks.release', path: '/v1/locks/release' } as const
  is(isRepeatable(release, { lock_id: 'lck_0123456789abcdef' }), true)
  is(isRepeatable(release, { lock_id: undefined, run_id: 'run-1' }), false)
})

test(
  'repeats what can be repeated, and each command is in the log once',
  staged(async ({ client, decide, ledger }) => {
    const { size } = await ledger.head.get()
    for (const fate of [
      'breaks',
      'loses the answer',
      { keeps: () => '' },
      { keeps: (text) => text.slice(0, 100) },
    ] satisfies Fate[]) {
      decide(inTurn(fate, fate))
      const { replayed } = await client.audit.append({ events: [event] })
      is(replayed, fate !== 'breaks', JSON.stringify(fate))
    }
    equal(await typesSince(ledger, size), Array(4).fill('audit.recorded'))
  }),
)

test(
  'gives each acquire one lock_id, so that a repeated request has one grant',
  staged(async ({ client, decide, ledger }) => {
    const { size } = await ledger.head.get()
    decide(inTurn('loses the answer'))
    const one = await client.locks.acquire({ name: 'a', holder: 'h' })
    decide(inTurn('loses the answer'))
    const waited = await client.locks.acquire({ name: 'b', holder: 'h', wait_s: 5 })
    decide(inTurn('loses the answer'))
    const { grants } = await client.locks.acquireAll({ names: ['c', 'd'], holder: 'h' })
    equal(
      [one, waited, ...grants].map(({ replayed }) => replayed),
      [true, true, true, true],
    )
    decide(inTurn('loses the answer'))
    is((await client.locks.release({ lock_id: one.lock_id })).replayed, true)
    equal(
      (await typesSince(ledger, size)).filter((type) => type.startsWith('lock.')),
      [...Array(4).fill('lock.acquired'), 'lock.released'],
    )
  }),
)

test(
  'has each command once in the log, whatever happens to its requests',
  staged(async ({ client, decide, ledger, seen }) => {
    const random = randomBelow('fates of requests')
    const fates: (() => Fate)[] = [
      () => 'breaks',
      () => 'loses the answer',
      () => ({ keeps: (text) => text.slice(0, random(text.length + 1)) }),
    ]
    // Three of twelve fail: a call that fails ten times in a row gives up.
    decide(() => fates[random(12)]?.() ?? 'passes')
    const { size } = await ledger.head.get()
    const answered: number[] = []
    const caller = async (index: number) => {
      for (let round = 0; round < 5 * rounds; round += 1) {
        const grant = await client.locks.acquire({ name: `lock-${index}`, holder: 'h', wait_s: random(2) })
        const { events } = await client.audit.append({ events: [event] })
        is((await client.log.entry({ seq: grant.token })).type, 'lock.acquired')
        await client.locks.release({ lock_id: grant.lock_id })
        answered.push(grant.token, ...events.map(({ seq }) => seq))
      }
    }
    await Promise.all(Array.from({ length: 16 }, (_, index) => caller(index)))
    const counted = new Map<string, number>()
    for (const type of await typesSince(ledger, size)) counted.set(type, (counted.get(type) ?? 0) + 1)
    const each = 16 * 5 * rounds
    equal(Object.fromEntries(counted), { 'audit.recorded': each, 'lock.acquired': each, 'lock.released': each })
    is(new Set(answered).size, 2 * each)
    ok(seen.length > each / 16)
  }),
)

test(
  'keeps the key of a caller',
  staged(async ({ client, decide, seen }) => {
    decide(inTurn('loses the answer'))
    await client.audit.append({ events: [event], idempotency_key: 'mine' })
    equal(
      seen.flatMap(({ calls }) => calls.map(({ input }) => (input as Record<string, unknown>).idempotency_key)),
      ['mine', 'mine'],
    )
  }),
)

test(
  'does not repeat a command that the ledger would not recognise, and says that its outcome is unknown',
  staged(async ({ client, decide, ledger, seen }) => {
    const grant = await client.locks.acquire({ name: 'a', holder: 'h' })
    const { size } = await ledger.head.get()
    seen.length = 0
    decide(() => 'loses the answer')
    const breaking = client.locks.break({ name: grant.name, reason: 'to see what happens' })
    const error = await refused(breaking, 'LEDGER_UNAVAILABLE')
    equal([error.details, seen.length], [{ outcome: 'unknown' }, 1])
    equal(await typesSince(ledger, size), [])
  }),
)

test(
  'answers the calls of a batch whose answers arrived before it was cut off, without repeating them',
  staged(async ({ client, decide, seen }) => {
    decide(inTurn({ keeps: (answer) => answer.slice(0, answer.indexOf('\n') + 10) }))
    const heads = await Promise.all([client.head.get(), client.head.get()])
    equal(heads[0], heads[1])
    equal(
      seen.map(({ calls }) => calls.length),
      [2, 1],
    )
  }),
)

test(
  'repeats a call that the service refused without beginning it',
  staged(async ({ client, decide, ledger, seen }) => {
    const problem = (code: string, details: object) => ({
      status: 503,
      text: JSON.stringify({ code, detail: 'made up', details }),
    })
    const { lock_id } = await client.locks.acquire({ name: 'a', holder: 'h' })
    const fates = [
      problem('LEDGER_UNAVAILABLE', { outcome: 'not_applied' }),
      problem('RATE_LIMITED', {}),
      problem('LEDGER_CLOSED', { outcome: 'not_applied' }),
    ]
    seen.length = 0
    decide(inTurn(...fates))
    await refused(client.locks.break({ name: 'resource:a', reason: 'it may' }), 'FORBIDDEN')
    is(seen.length, 4)
    await client.locks.release({ lock_id })
    is((await ledger.locks.status({ name: 'resource:a' })).state, 'free')
  }),
)

test(
  'says that the outcome is unknown if a first attempt may have taken effect, whatever becomes of the last one',
  staged(async ({ client, decide, ledger }) => {
    const text = JSON.stringify({ code: 'LEDGER_UNAVAILABLE', detail: 'made up', details: { outcome: 'not_applied' } })
    let isFirst = true
    decide(() => {
      const fate: Fate = isFirst ? 'loses the answer' : { status: 503, text }
      isFirst = false
      return fate
    })
    const { details } = await refused(client.locks.acquire({ name: 'a', holder: 'h' }), 'LEDGER_UNAVAILABLE')
    equal(details, { outcome: 'unknown' })
    is((await ledger.locks.status({ name: 'resource:a' })).state, 'held')
  }),
)

test(
  'repeats no call that was refused for what it asks',
  staged(async ({ client, seen }) => {
    await client.locks.acquire({ name: 'a', holder: 'h' })
    await refused(client.locks.acquire({ name: 'a', holder: 'h2' }), 'LOCK_CONTENTION')
    is(seen.length, 2)
  }),
)

test(
  'takes an answer that is none of a service for a lost one',
  staged(async ({ client, decide }) => {
    for (const text of ['<html>', '', '7', '{}', '{"status":200}', `{"code":"NEW","detail":"x"}`]) {
      for (const status of [200, 502]) {
        decide(() => ({ status, text }))
        const error = await client.locks.break({ name: 'resource:a', reason: newName('x') }).catch((thrown) => thrown)
        is(error instanceof LockstepError, true)
        const isNew = status === 502 && text.includes('NEW')
        is(error.code, isNew ? 'INVARIANT_VIOLATED' : 'LEDGER_UNAVAILABLE', `${status} ${text}`)
        if (!isNew) equal(error.details, { outcome: 'unknown' })
      }
    }
  }),
)

test.run()
