import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contentionWithFile } from '../../../src/domain/lock/report.ts'
import { evolve } from '../../../src/domain/lock/state.ts'
import { acquireDeliverable } from './steps.ts'
import { World, worker } from './world.ts'

const test = suite('lock reports')
const { now } = new World()
const foreign = {
  name: 'deliverable:DEL-08-05',
  deliverable_id: 'DEL-08-05',
  holder: 'other tool',
  acquired: '2026-02-02T11:59:30.000Z',
  lease_remaining_s: 570,
  pid: 4_711,
  holder_alive: 'yes' as const,
  path: '/work/DEL-08-05/.lock',
}

test('contention with the file of another tool has every field of the report', () => {
  const { code, details, record } = contentionWithFile(foreign, now)
  assert.is(code, 'LOCK_CONTENTION')
  assert.is(record, undefined)
  assert.equal(details, {
    ...foreign,
    contention_time: '2026-02-02T12:00:00.000Z',
    host: null,
    token: null,
    retry_after_s: 60,
  })
})

test('contention with an unreadable file reports 0 s, and still says when to retry', () => {
  const unreadable = { ...foreign, holder: 'unreadable', acquired: null, lease_remaining_s: 0, pid: null }
  const { details } = contentionWithFile({ ...unreadable, holder_alive: 'unknown' }, now)
  assert.equal([details.holder, details.lease_remaining_s, details.retry_after_s], ['unreadable', 0, 1])
})

test('a file that is recovered beside a grant does not end the grant', () => {
  const world = new World()
  const [granted] = world.run(acquireDeliverable('DEL-08-05').command(world), worker).entries
  if (granted === undefined) throw new Error('not granted')
  const data = {
    by: 'agent-2',
    mode: 'manual',
    name: 'deliverable:DEL-08-05',
    previous_acquired: null,
    previous_holder: 'x',
    previous_token: null,
    reason: 'x',
    recovery_reason: 'unreadable',
  }
  const state = evolve(undefined, granted)
  assert.equal(evolve(state, { ...granted, type: 'lock.recovered', data, seq: granted.seq + 1 }), state)
})

test.run()
