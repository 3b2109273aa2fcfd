import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { Grant } from '../../src/api/shapes/locks.ts'
import { LockstepError } from '../../src/errors.ts'
import { type Place, Places } from '../../src/mcp/places.ts'
import { until } from '../support/service.ts'

const test = suite('places in line')

/** A lock that is granted, refused or given up when the test says so. */
function line() {
  const events: string[] = []
  let grant = () => {}
  let refuse = () => {}
  const place: Place = {
    what: 'reports',
    wait: (signal) =>
      new Promise((resolve, reject) => {
        events.push('joined')
        grant = () => resolve({ name: 'resource:reports' } as Grant)
        refuse = () => reject(new LockstepError('LEDGER_CLOSED', 'the ledger is closed'))
        signal.addEventListener('abort', () => {
          events.push('left')
          reject(new LockstepError('ABORTED', 'left'))
        })
      }),
    release: async () => events.push('released'),
  }
  return { events, grant: () => grant(), place, refuse: () => refuse() }
}

const never = new AbortController().signal
const ref = 'lck_1'

test('a call that waits long enough has the grant, and the place is forgotten', async () => {
  const places = new Places(60_000)
  const { events, grant, place } = line()
  const taken = places.take(ref, place, { seconds: 60, signal: never })
  grant()
  is((await taken)?.name, 'resource:reports')
  equal([places.size, events], [0, ['joined', 'left']])
})

test('the next call continues in the same place, and finds what was granted between the calls', async () => {
  const places = new Places(60_000)
  const { events, grant, place } = line()
  is(await places.take(ref, place, { seconds: 0, signal: never }), undefined)
  is(await places.take(ref, place, { seconds: 0, signal: never }), undefined)
  grant()
  is((await places.take(ref, place, { seconds: 60, signal: never }))?.name, 'resource:reports')
  equal([places.size, events], [0, ['joined', 'left']])
})

test('without a next call the line is left, and what was granted is released', async () => {
  const places = new Places(0)
  const { events, place } = line()
  is(await places.take(ref, place, { seconds: 0, signal: never }), undefined)
  await until('the place is left', () => events.includes('released'))
  equal([places.size, events], [0, ['joined', 'left', 'released']])
})

test('an aborted call leaves the line', async () => {
  const places = new Places(60_000)
  const { events, place } = line()
  const ending = new AbortController()
  const taken = places.take(ref, place, { seconds: 60, signal: ending.signal }).catch(({ code }) => code)
  ending.abort()
  is(await taken, 'ABORTED')
  await until('the place is left', () => events.includes('released'))
  is(places.size, 0)
  is(await places.take(ref, place, { seconds: 60, signal: ending.signal }).catch(({ code }) => code), 'ABORTED')
  is(places.size, 0)
})

test('a wait that fails fails its calls, and the next call begins anew', async () => {
  const places = new Places(60_000)
  const first = line()
  is(await places.take(ref, first.place, { seconds: 0, signal: never }), undefined)
  first.refuse()
  is(await places.take(ref, first.place, { seconds: 60, signal: never }).catch(({ code }) => code), 'LEDGER_CLOSED')
  const second = line()
  const taken = places.take(ref, second.place, { seconds: 60, signal: never })
  second.grant()
  is((await taken)?.name, 'resource:reports')
})

test('a lock_id waits for one thing, and there are not more places than the limit', async () => {
  const places = new Places(60_000)
  is(await places.take(ref, line().place, { seconds: 0, signal: never }), undefined)
  const other = { ...line().place, what: 'other' }
  is(await places.take(ref, other, { seconds: 0, signal: never }).catch(({ code }) => code), 'IDEMPOTENCY_MISMATCH')
  for (let at = 2; at <= 1_000; at += 1) await places.take(`lck_${at}`, line().place, { seconds: 0, signal: never })
  const full = places.take('lck_1001', line().place, { seconds: 0, signal: never })
  is(await full.catch(({ code }) => code), 'LEDGER_UNAVAILABLE')
  places.close()
  is(places.size, 0)
})

test.run()
