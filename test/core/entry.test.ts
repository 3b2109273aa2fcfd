import canonicalize from 'canonicalize'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { assertCanonical } from '../../src/kernel/canonical.ts'
import { entryOf, entrySchema, type Placement } from '../../src/kernel/entry.ts'

const test = suite('entry')
const draft = { type: 'audit.recorded', stream: 'audit', data: { action_type: 'system', outcome: 'success' } }
const bare: Placement = {
  actor: { actor_id: 'agent-1', actor_type: 'agent' },
  correlationId: undefined,
  eventId: 'evt_testledger00_0',
  previous: null,
  request: undefined,
  seq: 0,
  time: '2026-02-02T12:00:00.000Z',
  wallTime: undefined,
}
const full: Placement = {
  actor: { actor_id: 'agent-1', actor_type: 'agent', on_behalf_of: 'ana', role_id: 'TASK' },
  correlationId: 'c-1',
  eventId: 'evt_testledger00_7',
  previous: 3,
  request: { count: 2, index: 1, key: 'k', sha256: 'ab'.repeat(32) },
  seq: 7,
  time: '2026-02-02T12:00:00.000Z',
  wallTime: '2026-02-02T11:00:00.000Z',
}

for (const [title, placement] of [
  ['with nothing but what every entry has', bare],
  ['with all that an entry may have', full],
] as const) {
  test(`an entry ${title} is canonical as it is built, and has the documented form`, () => {
    const entry = entryOf(draft, placement)
    assertCanonical(entry)
    assert.is(JSON.stringify(entry), canonicalize(entry))
    assert.equal(entrySchema.parse(entry), entry)
  })
}

test('an entry of a run names its run and the previous entry of the run, in canonical order', () => {
  const run = {
    case_id: 'CASE-17',
    correlation_id: 'request-1',
    lane_id: 'LANE',
    parent_run_id: 'run_parent',
    policy_versions: { lanes: 'ab'.repeat(20), roles: 'cd'.repeat(20) },
    previous: 'event before' as const,
    root_run_id: 'run_root1',
    run_id: 'run_12345',
  }
  for (const place of [{ ...bare, seq: 3 }, full]) {
    const entry = entryOf({ ...draft, run }, place)
    assertCanonical(entry)
    assert.is(JSON.stringify(entry), canonicalize(entry))
    assert.equal(entrySchema.parse(entry), entry)
    assert.is(entry.prev.run, place.seq - 1)
    assert.is(entry.correlation_id, 'request-1')
  }
  const alone = { case_id: null, correlation_id: null, lane_id: null, parent_run_id: null, previous: 5 }
  const entry = entryOf({ ...draft, run: { ...run, ...alone } }, full)
  for (const member of ['case_id', 'lane_id', 'parent_run_id']) assert.not(member in entry, member)
  assert.equal([entry.prev.run, entry.correlation_id], [5, full.correlationId])
})

test('members that an entry lacks are left out, not null', () => {
  const entry = entryOf(draft, bare)
  for (const member of ['correlation_id', 'request', 'wall_time', 'run_id']) assert.not(member in entry, member)
  assert.equal(entry.prev, { stream: null })
})

test('an entry outside any run states that no policy was pinned', () => {
  assert.equal(entryOf(draft, bare).policy_versions, { lanes: 'UNPINNED', roles: 'UNPINNED' })
  assert.is(entryOf(draft, bare).contract_version, 'v1')
  const pins = { lanes: 'ab'.repeat(20), roles: 'cd'.repeat(20) }
  assert.equal(entryOf(draft, { ...bare, pins }).policy_versions, pins)
})

for (const [title, change] of [
  ['a member it does not know', { more: 1 }],
  ['a negative seq', { seq: -1 }],
  ['a time without milliseconds', { time: '2026-02-02T12:00:00Z' }],
  ['a time with an offset', { time: '2026-02-02T12:00:00.000+00:00' }],
  ['a type of one word', { type: 'audit' }],
  ['data with a key that looks like an index', { data: { 1: 'x' } }],
  ['another contract', { contract_version: 'v2' }],
  ['a stream past its bound', { stream: 's'.repeat(301) }],
  ['no actor', { actor: undefined }],
] as const) {
  test(`an entry may not have ${title}`, () => {
    assert.not(entrySchema.safeParse({ ...entryOf(draft, bare), ...change }).success)
  })
}

test.run()
