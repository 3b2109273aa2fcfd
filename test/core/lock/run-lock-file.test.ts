import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LockEventData } from '../../../src/domain/lock/events.ts'
import {
  lockedFile,
  parseRunLock,
  releasedFile,
  runLockFileName,
  runLockSchema,
  runLockText,
} from '../../../src/domain/lock/run-lock-file.ts'
import { acquireProject, runOf } from './steps.ts'
import { World, worker } from './world.ts'

const test = suite('RUN_LOCK.json')
const run = runOf(1)

/** Seed 1, Example (Filled), as its bytes would stand in the file; the run is the tables’ own. */
const locked = `{
  "status": "LOCKED",
  "target_name": "IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO",
  "run_id": "${run}",
  "lock_owner": "${run}",
  "lock_time": "2026-02-02T12:00:00Z",
  "lock_reason": "P0_INVENTORY initialization",
  "release_conditions": [
    "state == COMPLETE",
    "manual override by BECCA"
  ]
}
`

/** Seed 1, Release Protocol: the same seven, and three more. */
const released = `{
  "status": "RELEASED",
  "target_name": "IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO",
  "run_id": "${run}",
  "lock_owner": "${run}",
  "lock_time": "2026-02-02T12:00:00Z",
  "lock_reason": "P0_INVENTORY initialization",
  "release_conditions": [
    "state == COMPLETE",
    "manual override by BECCA"
  ],
  "released_at": "2026-02-02T14:30:00Z",
  "released_by": "BECCA (VERIFICATION)",
  "final_status": "COMPLETE"
}
`

function granted(): LockEventData<'lock.acquired'> {
  const world = new World()
  const { entries } = world.run(acquireProject(1).command(world), worker)
  return entries[0]?.data as LockEventData<'lock.acquired'>
}

test('its name is the one of the template', () => assert.is(runLockFileName, 'RUN_LOCK.json'))

test('a locked file has exactly the seven members of the template, in order', () => {
  const file = lockedFile(granted())
  assert.is(runLockText(file), locked)
  assert.equal(runLockSchema.parse(JSON.parse(locked)), file)
})

test('a released file has the same seven members unchanged and three more, in order', () => {
  const end = {
    time: '2026-02-02T14:30:00.999Z',
    released_by: 'BECCA (VERIFICATION)',
    final_status: 'COMPLETE' as const,
  }
  const file = releasedFile(granted(), end)
  assert.is(runLockText(file), released)
  assert.equal(runLockSchema.parse(JSON.parse(released)), file)
})

test('a file whose status occurs twice says nothing', () => {
  assert.is(parseRunLock(locked).status, 'LOCKED')
  const twice = locked.replace('\n}', ',\n  "status": "RELEASED"\n}')
  assert.equal(parseRunLock(twice), { content: undefined, status: undefined })
})

test('every final status is one that the file may have', () => {
  for (const final_status of ['COMPLETE', 'PARTIAL', 'HALTED', 'FAILED', 'ABORTED', 'ROLLED_BACK']) {
    assert.ok(runLockSchema.safeParse({ ...JSON.parse(released), final_status }).success, final_status)
  }
})

for (const [title, base, change] of [
  ['another status', locked, { status: 'OPEN' }],
  ['a missing member', locked, { lock_reason: undefined }],
  ['a member that is none of the seed’s', locked, { note: 'x' }],
  ['a member of RELEASED while LOCKED', locked, { final_status: 'COMPLETE' }],
  ['a time that is none', locked, { lock_time: 'yesterday' }],
  ['a time without a zone', locked, { lock_time: '2026-02-02T12:00:00' }],
  ['conditions that are no list', locked, { release_conditions: 'state == COMPLETE' }],
  ['more than 100 conditions', locked, { release_conditions: Array.from({ length: 101 }, () => 'x') }],
  ['an empty text', locked, { run_id: '' }],
  ['a text past its bound', locked, { lock_reason: 'x'.repeat(2_001) }],
  ['half a character', locked, { lock_reason: 'half \ud83d' }],
  ['a final status that is none', released, { final_status: 'DONE' }],
  ['no final status', released, { final_status: undefined }],
] as const) {
  test(`it is not read with ${title}`, () => {
    assert.not(runLockSchema.safeParse({ ...JSON.parse(base), ...change }).success)
  })
}

test('it is read with texts of the maximum length, and a time with an offset', () => {
  const change = { lock_reason: 'x'.repeat(2_000), lock_time: '2026-02-02T13:00:00+01:00' }
  assert.ok(runLockSchema.safeParse({ ...JSON.parse(locked), ...change }).success)
})

test.run()
