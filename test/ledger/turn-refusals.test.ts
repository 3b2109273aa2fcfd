import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { testClock } from '../support/ledger.ts'
import { bodyDigest, objectsIn, run_id, typesOf } from '../support/turn-cases.ts'
import { startRuns } from '../support/turns.ts'
import { refusal, withStage } from './stage.ts'

const test = suite('refused turns')
const turn = (turn_id: string) => ({ run_id, turn_id })
const stems = (...names: string[]) => names.map((stem) => ({ stem, body: { dto_type: 'note', id: stem } }))
const started = async (ledger: LocalLedger) => startRuns(ledger, [run_id])

test('a holder that stalled past its lease promotes with its old token: STALE_TOKEN, nothing changed, recorded', async () => {
  const clock = testClock()
  await withStage(
    async (ledger) => {
      await startRuns(ledger, [run_id, 'run_two_1'], 'flow-1')
      const lock = { name: 'state', holder: 'agent-1', lease_duration_s: 60 }
      const a = await hold(ledger, lock)
      const guardOfA = { name: 'state', token: a.token }
      await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one'), guard: guardOfA })
      await ledger.turns.validate({ ...turn('turn-0001'), guard: guardOfA })
      clock.advance(61_000)
      await refusal(ledger.turns.promote({ ...turn('turn-0001'), guard: guardOfA }), 'LEASE_EXPIRED')

      const b = await hold(ledger, {
        ...lock,
        holder: 'agent-2',
        actor: { actor_id: 'agent-2', actor_type: 'agent' },
      })
      const ofB = { run_id: 'run_two_1', turn_id: 'turn-0001', guard: { name: 'state', token: b.token } }
      await ledger.turns.apply({ ...ofB, triplets: stems('two') })

      const before = await ledger.workspaces.digest({ run_id })
      const { size } = await ledger.head.get()
      const error = await refusal(ledger.turns.promote({ ...turn('turn-0001'), guard: guardOfA }), 'STALE_TOKEN')
      assert.is(error.details.token, a.token)
      assert.is(error.details.current_token, b.token)
      const entry = await ledger.log.entry({ seq: size })
      assert.is(entry.type, 'turn.promotion_rejected')
      assert.is(entry.data.code, 'STALE_TOKEN')
      assert.is((await ledger.workspaces.digest({ run_id })).state_digest, before.state_digest)
      assert.is((await ledger.runs.get({ run_id })).last_promoted_turn_id, 'turn-0000')
      await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('x'), guard: guardOfA }), 'STALE_TOKEN')
      await refusal(ledger.turns.validate({ ...turn('turn-0001'), guard: guardOfA }), 'STALE_TOKEN')
      await refusal(ledger.turns.reject({ ...turn('turn-0001'), reason: 'x', guard: guardOfA }), 'STALE_TOKEN')
      assert.is((await ledger.turns.get(turn('turn-0001'))).status, 'validated', 'what was staged stays')
    },
    { now: clock.now },
  )
})

test('a run that was started with a lock names its grant with every promotion: GUARD_REQUIRED', () =>
  withStage(async (ledger) => {
    await ledger.policy.reload()
    const { token } = await hold(ledger, { name: 'state', holder: 'agent-1' })
    await hold(ledger, { name: 'other', holder: 'agent-1' })
    await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
    await ledger.runs.start({ run_id, lock: 'state' })
    await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one') })
    await ledger.turns.validate(turn('turn-0001'))
    await refusal(ledger.turns.promote(turn('turn-0001')), 'GUARD_REQUIRED')
    await refusal(ledger.turns.promote({ ...turn('turn-0001'), guard: { name: 'other', token } }), 'GUARD_REQUIRED')
    const guard = { name: 'state', token }
    assert.is((await ledger.turns.promote({ ...turn('turn-0001'), guard })).outcome, 'PASS')
  }))

test('a promotion of what was not meant is refused', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const { manifest_digest } = await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one') })
    await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('two') })
    await refusal(ledger.turns.validate({ ...turn('turn-0001'), manifest_digest }), 'E_PROMOTION_NOT_VALIDATED')
    await ledger.turns.validate(turn('turn-0001'))
    await refusal(ledger.turns.promote({ ...turn('turn-0001'), manifest_digest }), 'E_PROMOTION_NOT_VALIDATED')
  }))

test('only a running run of three kinds has turns, for its actor, under names that can be folders', async () => {
  const clock = testClock()
  await withStage(
    async (ledger) => {
      await started(ledger)
      const stage = (id: string, more = {}) =>
        ledger.turns.stage({ run_id: id, turn_id: 'turn-0001', triplets: stems('one'), ...more })
      await refusal(stage('run_unknown'), 'NOT_FOUND')
      await refusal(stage(run_id, { actor: { actor_id: 'agent-9', actor_type: 'agent' } }), 'NOT_RUN_ACTOR')
      await ledger.runs.create({ run_id: 'run_made_1', run_kind: 'orchestrator' })
      await refusal(stage('run_made_1'), 'RUN_NOT_ACTIVE')
      const of = {
        case_id: 'CASE-17',
        lane_id: 'TOOL_INTERVIEW_CAPTURE',
        role_id: 'INTERVIEW_AGENT',
        parent_run_id: run_id,
      }
      await ledger.runs.create({ ...of, run_id: 'run_tool_1', run_kind: 'tool_gateway' })
      await ledger.runs.start({ run_id: 'run_tool_1' })
      await refusal(stage('run_tool_1'), 'INVALID_INPUT')
      for (const id of ['run with spaces', 'run..dotted', '.run_hidden']) {
        await ledger.runs.create({ run_id: id, run_kind: 'orchestrator' })
        await ledger.runs.start({ run_id: id })
        await refusal(stage(id), 'INVALID_INPUT')
      }
      await ledger.runs.create({ run_id: 'run_leased', run_kind: 'orchestrator' })
      await ledger.runs.start({ run_id: 'run_leased', lease_duration_s: 60 })
      await stage('run_leased')
      clock.advance(61_000)
      await refusal(ledger.turns.promote({ run_id: 'run_leased', turn_id: 'turn-0001' }), 'RUN_LEASE_EXPIRED')
      await refusal(ledger.turns.promote({ run_id: 'run_leased', turn_id: 'turn-0001' }), 'RUN_NOT_ACTIVE')
    },
    { now: clock.now },
  )
})

test('past its bounds nothing of a turn is stored: LIMIT_EXCEEDED', () =>
  withStage(async (ledger, root) => {
    await started(ledger)
    const { length } = await typesOf(ledger)
    const many = Array.from({ length: 10_001 }, (_, index) => ({ stem: `s/${index}`, body: {} }))
    const error = await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: many }), 'LIMIT_EXCEEDED')
    assert.is((error.details.issues as object[]).length, 1)
    const large = [{ stem: 'one', body: { text: 'x'.repeat(2 * 1024 * 1024) } }]
    await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: large }), 'LIMIT_EXCEEDED')
    const wide = [{ stem: 'one', body: { dto_type: 'x'.repeat(513), id: '1' } }]
    await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: wide }), 'LIMIT_EXCEEDED')
    assert.equal(
      await typesOf(ledger, length),
      Array(3).fill('turn.staging_rejected'),
      'each is recorded, for each is the turn’s last event',
    )
    await ledger.close()
    assert.is(await objectsIn(root), 0)
  }))

test('what is proposed in a wrong shape is refused, each with its code, in one order', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const grave = (more: object) => ({
      kind: 'tombstone',
      stem: 'x',
      dto_type: 'note',
      id: '1',
      deleted_by_turn_id: 'turn-0001',
      ...more,
    })
    const fromFiles = (code: 'E_STAGING_FILE_INVALID' | 'E_TOMBSTONE_STEM_MISMATCH' | 'E_TRIPLET_INCOMPLETE') =>
      ({ code, details: {}, level: 'error', location: 'a.body.json', message: 'x', stage: 'stage' }) as const
    const rows: [more: object, code: Parameters<typeof refusal>[1]][] = [
      [{ triplets: [{ stem: 'a' }] }, 'E_TRIPLET_INCOMPLETE'],
      [{ triplets: [{ stem: 'a', body: [] }] }, 'E_JSON_INVALID'],
      [{ triplets: [{ stem: 'a', body: {}, manifest: null }] }, 'E_JSON_INVALID'],
      [{ triplets: [{ stem: '\ud800', body: {} }] }, 'E_STEM_INVALID'],
      [{ delete_stem: ['a//b'] }, 'E_STEM_INVALID'],
      [{ triplets: [...stems('a'), ...stems('a')] }, 'E_STEM_COLLISION'],
      ...[
        { id: '' },
        { kind: 'stone' },
        { more: 1 },
        { deleted_by_turn_id: 'turn-0002' },
        { dto_type: undefined },
        { id: '\udc00' },
      ].map((more): [object, 'E_TOMBSTONE_INVALID'] => [{ tombstones: [grave(more)] }, 'E_TOMBSTONE_INVALID']),
      [{ tombstones: [grave({}), grave({})] }, 'E_TOMBSTONE_INVALID'],
      [{ tombstones: ['x'] }, 'E_TOMBSTONE_INVALID'],
      [{ tombstones: [grave({ stem: '../x' })] }, 'E_STEM_INVALID'],
      [{ issues: [fromFiles('E_STAGING_FILE_INVALID')] }, 'E_STAGING_FILE_INVALID'],
      [
        { issues: [{ ...fromFiles('E_STAGING_FILE_INVALID'), location: 'a\ud800', details: { kind: '\udc00' } }] },
        'E_STAGING_FILE_INVALID',
      ],
      [{ tombstones: [grave({ '\ud800': 1 })] }, 'E_TOMBSTONE_INVALID'],
      [{ triplets: [{ stem: 'a', body: { '\ud800': 0.5 } }] }, 'E_JSON_INVALID'],
      [{ issues: [fromFiles('E_TOMBSTONE_STEM_MISMATCH')] }, 'E_TOMBSTONE_STEM_MISMATCH'],
      [{ issues: [fromFiles('E_TRIPLET_INCOMPLETE')] }, 'E_TRIPLET_INCOMPLETE'],
      [{ triplets: [{ stem: 'a', body: {}, base_digest: 'x' }] }, 'INVALID_INPUT'],
    ]
    for (const [more, code] of rows) {
      const error = await refusal(ledger.turns.stage({ ...turn('turn-0001'), ...more }), code)
      if (code !== 'INVALID_INPUT') assert.is((error.details.issues as { code: string }[])[0]?.code, code)
    }
  }))

test('what is refused over a guard leaves no objects, what others stored meanwhile stays', () =>
  withStage(async (ledger, root) => {
    await started(ledger)
    const { token } = await hold(ledger, { name: 'state', holder: 'agent-1' })
    const good = { ...turn('turn-0001'), triplets: stems('one', 'two') }
    const bad = { ...good, triplets: stems('one', 'three'), guard: { name: 'state', token: token + 1 } }
    await Promise.all([
      refusal(ledger.turns.stage(bad), 'STALE_TOKEN'),
      ledger.turns.stage(good),
      refusal(ledger.turns.stage(bad), 'STALE_TOKEN'),
    ])
    await refusal(ledger.turns.stage(bad), 'STALE_TOKEN')
    assert.is(
      (await ledger.workspaces.object({ digest: await bodyDigest(ledger) })).text,
      '{"dto_type":"note","id":"one"}',
    )
    await ledger.log.verify()
    await ledger.close()
    // Two bodies, the empty object, and what names them.
    assert.is(await objectsIn(root), 4)
  }))

test.run()
