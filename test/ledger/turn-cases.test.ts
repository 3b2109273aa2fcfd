import { cpSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Ledger } from '../../src/ledger.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { temporaryRoot, testActor, testClock } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { startRuns } from '../support/turns.ts'
import { FaultyStore, refusal, withStage } from './stage.ts'

const test = suite('turns, case by case')
const run_id = 'run_one_1'
const turn = (turn_id: string) => ({ run_id, turn_id })
const stems = (...names: string[]) => names.map((stem) => ({ stem, body: { dto_type: 'note', id: stem } }))
const started = async (ledger: Ledger) => startRuns(ledger, [run_id])
const typesOf = async (ledger: Ledger, from = 0) => {
  const types: string[] = []
  for await (const { type } of ledger.read({ from })) types.push(type)
  return types
}
const stemsOf = async (ledger: Ledger) => {
  const found: string[] = []
  for await (const { stem } of ledger.workspaces.triplets({ run_id })) found.push(stem)
  return found
}

test('a holder that stalled past its lease promotes with its old token: STALE_TOKEN, nothing changed, recorded', async () => {
  const clock = testClock()
  await withStage(
    async (ledger) => {
      await startRuns(ledger, [run_id, 'run_two_1'], 'flow-1')
      const lock = { name: 'state', holder: 'agent-1', lease_duration_s: 60 }
      const a = await ledger.locks.acquire(lock)
      const guardOfA = { name: 'state', token: a.token }
      await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one'), guard: guardOfA })
      await ledger.turns.validate({ ...turn('turn-0001'), guard: guardOfA })
      clock.advance(61_000)
      await refusal(ledger.turns.promote({ ...turn('turn-0001'), guard: guardOfA }), 'LEASE_EXPIRED')

      const b = await ledger.locks.acquire({
        ...lock,
        holder: 'agent-2',
        actor: { actor_id: 'agent-2', actor_type: 'agent' },
      })
      const ofB = { run_id: 'run_two_1', turn_id: 'turn-0001', guard: { name: 'state', token: b.token } }
      await ledger.turns.apply({ ...ofB, triplets: stems('two') })

      const before = await ledger.workspaces.digest({ run_id })
      const { size } = ledger.head()
      const error = await refusal(ledger.turns.promote({ ...turn('turn-0001'), guard: guardOfA }), 'STALE_TOKEN')
      assert.is(error.details.token, a.token)
      assert.is(error.details.current_token, b.token)
      const entry = await ledger.entry(size)
      assert.is(entry.type, 'turn.promotion_rejected')
      assert.is(entry.data.code, 'STALE_TOKEN')
      assert.is((await ledger.workspaces.digest({ run_id })).state_digest, before.state_digest)
      assert.is((await ledger.runs.get(run_id)).last_promoted_turn_id, 'turn-0000')
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
    const { token } = await ledger.locks.acquire({ name: 'state', holder: 'agent-1' })
    await ledger.locks.acquire({ name: 'other', holder: 'agent-1' })
    await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
    await ledger.runs.start({ run_id, lock: 'state' })
    await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one') })
    await ledger.turns.validate(turn('turn-0001'))
    await refusal(ledger.turns.promote(turn('turn-0001')), 'GUARD_REQUIRED')
    await refusal(ledger.turns.promote({ ...turn('turn-0001'), guard: { name: 'other', token } }), 'GUARD_REQUIRED')
    const guard = { name: 'state', token }
    assert.is((await ledger.turns.promote({ ...turn('turn-0001'), guard })).outcome, 'PASS')
  }))

test('the same request again gives the earlier answer, other content is refused, a refusal is decided anew', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const keyed = (idempotency_key: string) => ({ ...turn('turn-0001'), idempotency_key })
    const staged = await ledger.turns.stage({ ...keyed('s'), triplets: stems('one') })
    assert.equal(await ledger.turns.stage({ ...keyed('s'), triplets: stems('one') }), { ...staged, replayed: true })
    await refusal(ledger.turns.stage({ ...keyed('s'), triplets: stems('two') }), 'IDEMPOTENCY_MISMATCH')
    await refusal(ledger.turns.promote(keyed('p')), 'E_PROMOTION_NOT_VALIDATED')
    const verdict = await ledger.turns.validate(keyed('v'))
    assert.equal(await ledger.turns.validate(keyed('v')), { ...verdict, replayed: true })
    const promoted = await ledger.turns.promote(keyed('p'))
    assert.equal(await ledger.turns.promote(keyed('p')), { ...promoted, replayed: true })
    await refusal(ledger.turns.promote(keyed('q')), 'E_PROMOTION_ALREADY_APPLIED')
    const whole = { run_id, turn_id: 'turn-0002', triplets: stems('one', 'three'), idempotency_key: 'a' }
    const applied = await ledger.turns.apply(whole)
    assert.equal(await ledger.turns.apply(whole), { ...applied, replayed: true })
    assert.equal(applied.promoted_stems, ['one', 'three'])
  }))

test('a turn that failed its validation may be applied again under the same key, once it holds', () =>
  withStage(async (ledger) => {
    await startRuns(ledger, [run_id, 'run_two_1'], 'flow-1')
    const up = { type: 'note', id: 'two' }
    const whole = { ...turn('turn-0001'), triplets: [{ stem: 'one', body: {}, links: { up } }], idempotency_key: 'a' }
    for (let attempt = 0; attempt < 3; attempt += 1) await refusal(ledger.turns.apply(whole), 'E_LSI_ORPHAN_TARGET')
    await ledger.turns.apply({ run_id: 'run_two_1', turn_id: 'turn-0001', triplets: stems('two') })
    const applied = await ledger.turns.apply(whole)
    assert.is(applied.replayed, false)
    assert.equal(await ledger.turns.apply(whole), { ...applied, replayed: true })
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

test('the phase is where a run is with its turns', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const phase = async () => (await ledger.turns.list({ run_id })).phase
    assert.is(await phase(), 'RUN_CREATED')
    await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one') })
    assert.is(await phase(), 'TURN_STAGED')
    await refusal(ledger.turns.promote(turn('turn-0001')), 'E_PROMOTION_NOT_VALIDATED')
    assert.is(await phase(), 'PROMOTION_REJECTED')
    await ledger.turns.validate(turn('turn-0001'))
    assert.is(await phase(), 'TURN_VALIDATED')
    await ledger.turns.reject({ ...turn('turn-0001'), reason: 'no' })
    assert.is(await phase(), 'TURN_REJECTED')
    await ledger.turns.apply({ ...turn('turn-0001'), triplets: stems('one') })
    assert.is(await phase(), 'TURN_PROMOTED')
    assert.is((await ledger.runs.get(run_id)).phase, 'TURN_PROMOTED')
    await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    assert.is(await phase(), 'RUN_COMPLETED')
    assert.equal(
      (await typesOf(ledger)).filter((type) => type.startsWith('turn.')),
      [
        'turn.staged',
        'turn.promotion_rejected',
        'turn.validated',
        'turn.rejected',
        'turn.staged',
        'turn.validated',
        'turn.promoted',
      ],
    )
  }))

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

test('more issues than an entry holds are an object that it names, and all are answered', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const triplets = Array.from({ length: 200 }, (_, index) => ({
      stem: `s/${index}`,
      body: {},
      links: { up: { type: 'x', id: `${index}` } },
    }))
    await ledger.turns.stage({ ...turn('turn-0001'), triplets })
    const { event_id: _, issues, outcome, seq } = await ledger.turns.validate(turn('turn-0001'))
    assert.is(outcome, 'FAIL')
    assert.is(issues.length, 200)
    const { count, digest, listed } = (await ledger.entry(seq)).data.issues as {
      count: number
      digest: string
      listed: object[]
    }
    assert.is(count, 200)
    assert.ok(listed.length > 0 && listed.length < 200)
    assert.equal(JSON.parse((await ledger.workspaces.object(digest)).text), issues)
    assert.equal((await ledger.turns.get(turn('turn-0001'))).issues, issues)
    const bad = triplets.map(({ stem }) => ({ stem: `../${stem}`, body: {} }))
    const error = await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: bad }), 'E_STEM_INVALID')
    assert.is((error.details.issues as object[]).length, 200)
  }))

test('what is refused over a guard leaves no objects, what others stored meanwhile stays', () =>
  withStage(async (ledger, root) => {
    await started(ledger)
    const { token } = await ledger.locks.acquire({ name: 'state', holder: 'agent-1' })
    const good = { ...turn('turn-0001'), triplets: stems('one', 'two') }
    const bad = { ...good, triplets: stems('one', 'three'), guard: { name: 'state', token: token + 1 } }
    await Promise.all([
      refusal(ledger.turns.stage(bad), 'STALE_TOKEN'),
      ledger.turns.stage(good),
      refusal(ledger.turns.stage(bad), 'STALE_TOKEN'),
    ])
    await refusal(ledger.turns.stage(bad), 'STALE_TOKEN')
    assert.is((await ledger.workspaces.object(await bodyDigest(ledger))).text, '{"dto_type":"note","id":"one"}')
    await ledger.verify()
    await ledger.close()
    // Two bodies, the empty object, and what names them.
    assert.is(await objectsIn(root), 4)
  }))

test('objects that an earlier entry names stay when two stages of the same content are refused at once', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const staged = { ...turn('turn-0001'), triplets: stems('one', 'two') }
    await ledger.turns.stage(staged)
    const refused = { ...staged, run_id: 'run_nowhere' }
    await Promise.all([1, 2, 3].map(() => refusal(ledger.turns.stage(refused), 'NOT_FOUND')))
    await ledger.turns.validate(turn('turn-0001'))
    await ledger.verify()
  }))

for (const fault of ['before', 'after'] as const) {
  for (const writes of [0, 1]) {
    test(`a stage whose write ${writes} fails ${fault} it persists leaves the old or the new, and no orphans`, async () => {
      const root = temporaryRoot()
      const store = new FaultyStore()
      const ledger = await openLedger({ dir: root, create: true, actor: testActor, wrapStore: store.wrap })
      await started(ledger)
      store.failAfter(writes, fault)
      await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one') }), 'LEDGER_UNAVAILABLE')
      await ledger.close()
      const again = await openLedger({ dir: root, actor: testActor })
      const isThere = writes === 1 && fault === 'after'
      assert.is((await again.turns.list({ run_id })).turns.length, isThere ? 1 : 0)
      await again.verify()
      await again.close()
      assert.is(await objectsIn(root), isThere ? 3 : 0)
    })
  }

  test(`a promotion whose write fails ${fault} it persists is whole or not at all`, async () => {
    const root = temporaryRoot()
    const store = new FaultyStore()
    const ledger = await openLedger({ dir: root, create: true, actor: testActor, wrapStore: store.wrap })
    await started(ledger)
    await ledger.turns.stage({ ...turn('turn-0001'), triplets: stems('one', 'two') })
    await ledger.turns.validate(turn('turn-0001'))
    store.failAfter(0, fault)
    const keyed = { ...turn('turn-0001'), idempotency_key: 'p' }
    const error = await refusal(ledger.turns.promote(keyed), 'LEDGER_UNAVAILABLE')
    assert.is(error.details.outcome, 'unknown')
    assert.equal(await stemsOf(ledger).catch(() => []), fault === 'before' ? [] : ['one', 'two'])
    await ledger.close()
    const again = await openLedger({ dir: root, actor: testActor })
    assert.equal(await stemsOf(again), fault === 'before' ? [] : ['one', 'two'])
    assert.is((await again.turns.promote(keyed)).replayed, fault === 'after')
    assert.equal(await stemsOf(again), ['one', 'two'])
    await again.verify()
    await again.close()
  })
}

test('a rebuild gives the same sovereign state; verify finds a row or an object that is other, missing or too many', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  await started(ledger)
  await ledger.turns.apply({
    ...turn('turn-0001'),
    triplets: [...stems('One'), { stem: 'two', body: {}, links: { up: { type: 'note', id: 'One' } } }],
  })
  await ledger.turns.apply({ ...turn('turn-0002'), triplets: [{ stem: 'two', body: { x: 1 } }] })
  const { state_digest } = await ledger.workspaces.digest({ run_id })
  const body = await bodyDigest(ledger)
  await ledger.close()
  await withLog(root, (log) => rebuildViews(log))
  const again = await openLedger({ dir: root, actor: testActor })
  assert.is((await again.workspaces.digest({ run_id })).state_digest, state_digest)
  await again.verify()
  await again.close()
  const damages: [check: string, damage: (log: KeyedLog) => Promise<unknown>][] = [
    ['objects', (log) => log.objects.drop([body], [])],
    [
      'objects',
      (log) => log.append({ size: log.head().size }, [], [{ view: 'object', key: 'ab'.repeat(32), value: 'x' }], {}),
    ],
    [
      'state',
      (log) =>
        log.append(
          { size: log.head().size },
          [],
          [{ view: 'state', key: 'run/run_one_1\u0000ttwo', value: undefined }],
          {},
        ),
    ],
    [
      'state',
      (log) =>
        log.append(
          { size: log.head().size },
          [],
          [{ view: 'state', key: 'run/run_one_1\u0000tx', value: { stem: 'x' } }],
          {},
        ),
    ],
  ]
  for (const [check, damage] of damages) await refusedAfter(root, check, damage)
})

test.run()

/** Does a damage to a copy of a ledger; its verification names the check. */
async function refusedAfter(root: string, check: string, damage: (log: KeyedLog) => Promise<unknown>): Promise<void> {
  const copy = temporaryRoot()
  cpSync(root, copy, { recursive: true })
  await withLog(copy, damage)
  const ledger = await openLedger({ dir: copy, actor: testActor })
  const error = await refusal(ledger.verify())
  assert.is(error.details.check, check)
  await ledger.close()
}

async function bodyDigest(ledger: Ledger): Promise<string> {
  const { manifest_digest } = await ledger.turns.get({
    run_id,
    turn_id: (await ledger.turns.list({ run_id })).turns[0]?.turn_id ?? '',
  })
  const { triplets } = (await ledger.workspaces.object(manifest_digest ?? '')).value as unknown as {
    triplets: { body_digest: string }[]
  }
  return triplets[0]?.body_digest ?? ''
}

/** How many objects a ledger that is closed has. */
async function objectsIn(root: string): Promise<number> {
  return withLog(root, async (log) => {
    let objects = 0
    const snapshot = log.stored()
    for await (const page of snapshot.scan({ gte: Buffer.from('o'), lt: Buffer.from('p') })) objects += page.length
    await snapshot.close()
    return objects
  })
}
