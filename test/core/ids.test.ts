import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { z } from 'zod'
import { appendOptionsSchema, appendSchema } from '../../src/domain/audit/commands.ts'
import * as input from '../../src/domain/lock/inputs.ts'
import { entrySchema } from '../../src/kernel/entry.ts'
import {
  actorSchema,
  eventIdOf,
  holderSchema,
  ledgerIdSchema,
  lineOf,
  lockIdSchema,
  lockRefSchema,
  originSchema,
  reasonSchema,
  requestKeySchema,
} from '../../src/kernel/ids.ts'
import { limits } from '../../src/kernel/limits.ts'

const test = suite('ids and limits')

/** What a schema takes and what it does not; each bound exactly at it and one past. */
function holds(title: string, schema: z.ZodType, { takes, not }: { takes: unknown[]; not: unknown[] }): void {
  test(title, () => {
    for (const value of takes) {
      const { error } = schema.safeParse(value)
      assert.is(error, undefined, `${JSON.stringify(value)?.slice(0, 80)}: ${error?.message}`)
    }
    for (const value of not) assert.not(schema.safeParse(value).success, JSON.stringify(value)?.slice(0, 80))
  })
}

const list = <T>(length: number, item: T): T[] => Array.from({ length }, () => item)
const text = (length: number) => 'x'.repeat(length)

holds('a line has a maximum of bytes, no control characters and no white space at its ends', lineOf(10), {
  takes: ['x', text(10), 'üüüüü', '🔒🔒xx', 'a b', '\u200b'],
  not: [
    '',
    text(11),
    'üüüüüx',
    '🔒🔒xxx',
    ' a',
    'a ',
    '\u00a0a',
    'a\n',
    'a\nb',
    'a\u0000b',
    'a\u007fb',
    'a\u0085b',
    'a\u2028b',
    'a\u2029b',
    '\ud83d',
    '\udd12x',
    7,
    null,
  ],
})

holds('a long line is also measured in bytes', lineOf(400), {
  takes: [text(400), 'ü'.repeat(200)],
  not: [text(401), `${'ü'.repeat(200)}x`],
})

holds('a holder has at most 200 bytes', holderSchema, {
  takes: [text(limits.nameBytes), 'ü'.repeat(100)],
  not: [text(limits.nameBytes + 1), `${'ü'.repeat(100)}x`, ''],
})

holds('a reason may have lines and tabs, and at most 2,000 characters', reasonSchema, {
  takes: ['x', 'two\nlines\r\n\tand a tab', text(limits.reasonChars), ' spaces around '],
  not: ['', ' \n\t', text(limits.reasonChars + 1), 'a\u0000', 'a\u001b[31m', 'a\u007f', '\ud83d'],
})

holds('an actor has an id, a type and optional claims', actorSchema, {
  takes: [
    { actor_id: 'a', actor_type: 'agent' },
    { actor_id: text(120), actor_type: 'human', role_id: text(120), on_behalf_of: text(120) },
    { actor_id: 'a', actor_type: 'system' },
  ],
  not: [
    { actor_id: '', actor_type: 'agent' },
    { actor_id: text(121), actor_type: 'agent' },
    { actor_id: 'a\nb', actor_type: 'agent' },
    { actor_id: 'a', actor_type: 'robot' },
    { actor_id: 'a', actor_type: 'agent', role_id: text(121) },
    { actor_id: 'a', actor_type: 'agent', on_behalf_of: '' },
    { actor_id: 'a', actor_type: 'agent', more: 1 },
    { actor_id: 'a' },
  ],
})

holds('a lock_id is lck_ and 16 to 64 characters', lockIdSchema, {
  takes: [`lck_${text(16)}`, `lck_${text(64)}`, 'lck_AZaz09_-AZaz09_-'],
  not: [`lck_${text(15)}`, `lck_${text(65)}`, `LCK_${text(16)}`, text(20), `lck_${text(15)}!`, `lck_${text(16)}\n`],
})

holds('a lock_ref is 16 hex digits', lockRefSchema, {
  takes: ['0123456789abcdef'],
  not: ['0123456789abcde', '0123456789abcdef0', '0123456789ABCDEF', '0123456789abcdeg'],
})

holds('a request key has at most 200 bytes', requestKeySchema, {
  takes: [text(limits.requestKeyBytes)],
  not: [text(limits.requestKeyBytes + 1), ''],
})

holds('an origin is printable ASCII without space and plus', originSchema, {
  takes: ['lockstep.local/abc', text(200), '!', '~'],
  not: ['', text(201), 'a b', 'a+b', 'ä', 'a\n', 'a\u007f'],
})

holds('a ledger id is 12 to 32 lower-case letters and digits', ledgerIdSchema, {
  takes: [text(12), text(32), 'abc012abc012'],
  not: [text(11), text(33), 'ABC012abc012', 'abc_12abc012'],
})

test('an event id contains its ledger and its seq', () => {
  assert.is(eventIdOf('abc012abc012', 0), 'evt_abc012abc012_0')
  assert.is(eventIdOf('abc012abc012', 7), 'evt_abc012abc012_7')
  const { event_id } = entrySchema.shape
  assert.ok(event_id.safeParse(eventIdOf(text(32), Number.MAX_SAFE_INTEGER)).success)
})

const resource = { name: 'n', holder: 'h' }
holds('a resource’s lease is 1 … 86,400 s, by default 1,800', input.acquireResourceSchema, {
  takes: [resource, { ...resource, lease_duration_s: 1 }, { ...resource, lease_duration_s: 86_400 }],
  not: [
    { ...resource, lease_duration_s: 0 },
    { ...resource, lease_duration_s: 86_401 },
    { ...resource, lease_duration_s: 1.5 },
    { ...resource, lease_duration_s: null },
    { name: 'n' },
    { ...resource, more: 1 },
  ],
})

test('omitted members of an acquire have their defaults', () => {
  assert.is(input.acquireResourceSchema.parse(resource).lease_duration_s, 1_800)
  const project = input.acquireProjectSchema.parse({ run_id: 'r', target_name: 't' })
  assert.is(project.reason, 'P0_INVENTORY initialization')
  assert.is(project.release_conditions, undefined, 'the second condition names the configured authority')
  assert.is(input.releaseSchema.parse({ lock_id: `lck_${text(16)}` }).outcome, 'success')
})

holds('a wait is 0 … 86,400 s', input.acquireResourceSchema, {
  takes: [
    { ...resource, wait_s: 0 },
    { ...resource, wait_s: limits.waitSecondsMax },
  ],
  not: [
    { ...resource, wait_s: -1 },
    { ...resource, wait_s: limits.waitSecondsMax + 1 },
    { ...resource, wait_s: 0.5 },
    { ...resource, signal: new AbortController().signal },
  ],
})

holds('a holder has at most four processes', input.acquireResourceSchema, {
  takes: [
    { ...resource, pids: [] },
    { ...resource, pids: [1, 2, 3, 2 ** 31 - 1] },
  ],
  not: [
    { ...resource, pids: [1, 2, 3, 4, 5] },
    { ...resource, pids: [0] },
    { ...resource, pids: [-1] },
    { ...resource, pids: [2 ** 31] },
  ],
})

const deliverable = { folder: '/work/DEL-08-05', holder: 'h', pids: [1] }
holds('a deliverable’s holder has a process, and its folder at most 4,096 bytes', input.acquireDeliverableSchema, {
  takes: [deliverable, { ...deliverable, folder: text(limits.pathBytes) }],
  not: [
    { ...deliverable, pids: [] },
    { ...deliverable, pids: undefined },
    { ...deliverable, folder: text(limits.pathBytes + 1) },
    { ...deliverable, folder: '' },
    { ...deliverable, folder: 'a\u0000b' },
  ],
})

const project = { run_id: 'r', target_name: 't' }
holds('a project has 1 to 16 release conditions', input.acquireProjectSchema, {
  takes: [
    { ...project, release_conditions: ['x'] },
    { ...project, release_conditions: list(limits.releaseConditionsMax, 'x') },
    { ...project, release_conditions: [text(limits.nameBytes)] },
  ],
  not: [
    { ...project, release_conditions: [] },
    { ...project, release_conditions: list(limits.releaseConditionsMax + 1, 'x') },
    { ...project, release_conditions: [text(limits.nameBytes + 1)] },
    { ...project, release_conditions: [''] },
    { ...project, target_name: text(501) },
    { ...project, run_id: text(121) },
  ],
})

const several = { holder: 'h', names: ['a'] }
const lockId = (index: number) => `lck_${String(index).padStart(16, '0')}`
const named = (count: number) => Array.from({ length: count }, (_, index) => `name ${index}`)
holds('several locks are 1 to 256, each with a lock_id of its own or none at all', input.acquireAllSchema, {
  takes: [
    several,
    { ...several, names: named(limits.locksPerRequestMax) },
    { ...several, names: ['a', 'b'], lock_ids: [lockId(1), lockId(2)] },
  ],
  not: [
    { ...several, names: [] },
    { ...several, names: named(limits.locksPerRequestMax + 1) },
    { ...several, names: ['a', 'deliverable:DEL-08-05'] },
    { ...several, names: ['a', 'b'], lock_ids: [lockId(1), lockId(1)] },
    { ...several, names: ['a', 'b'], lock_ids: [lockId(1)] },
    { ...several, names: ['a'], lock_ids: [lockId(1), lockId(2)] },
  ],
})

const event = { action_type: 'system', outcome: 'success' }
holds('a request appends 1 to 1,000 audit events', appendSchema, {
  takes: [[event], list(limits.auditEventsPerRequestMax, event)],
  not: [[], list(limits.auditEventsPerRequestMax + 1, event)],
})

holds('an audit event has bounded members', appendSchema, {
  takes: [
    [{ ...event, notes: text(1_000), outcome_reason: text(200), corrects: text(120) }],
    [{ ...event, request_hash_sha256: 'a'.repeat(64), response_hash_sha256: 'A'.repeat(64) }],
    [{ ...event, target: { target_type: 'lock', name: text(200), operation: text(80) } }],
  ],
  not: [
    [{ ...event, notes: text(1_001) }],
    [{ ...event, outcome_reason: text(201) }],
    [{ ...event, corrects: text(121) }],
    [{ ...event, request_hash_sha256: 'a'.repeat(63) }],
    [{ ...event, target: { target_type: 'lock', name: text(201) } }],
    [{ ...event, target: { target_type: 'house', name: 'x' } }],
    [{ ...event, action_type: 'tool_call' }],
    [{ ...event, outcome: 'maybe' }],
    [{ ...event, actor: { actor_id: 'a', actor_type: 'agent' } }],
  ],
})

test('hashes are stored in lower case', () => {
  const [parsed] = appendSchema.parse([{ ...event, request_hash_sha256: 'AB'.repeat(32) }])
  assert.is(parsed?.request_hash_sha256, 'ab'.repeat(32))
})

holds('a guard can name any lock that can be held', appendOptionsSchema, {
  takes: [
    { guard: { name: 'n', token: 0 } },
    { guard: { name: `resource:${text(limits.nameBytes)}`, token: 7 } },
    { guard: { name: text(limits.nameBytes), token: 7 } },
    { expected_size: 0, idempotency_key: text(200), correlation_id: text(120) },
  ],
  not: [
    { guard: { name: 'n', token: -1 } },
    { guard: { name: 'n', token: 0.5 } },
    { guard: { name: 'n' } },
    { guard: { name: text(limits.lockNameBytes + 1), token: 7 } },
    { expected_size: -1 },
    { idempotency_key: text(201) },
    { correlation_id: text(121) },
  ],
})

test('the longest names and ids fit the entry', () => {
  const { stream } = entrySchema.shape
  assert.ok(stream.safeParse(`lock/${text(limits.lockNameBytes)}`).success)
})

test.run()
