import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { copyLedger, temporaryRoot, testActor } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { bodyDigest, objectsIn, run_id, typesOf } from '../support/turn-cases.ts'
import { startRuns } from '../support/turns.ts'
import { FaultyStore, refusal, withStage } from './stage.ts'

const test = suite('turns, case by case')
const turn = (turn_id: string) => ({ run_id, turn_id })
const stems = (...names: string[]) => names.map((stem) => ({ stem, body: { dto_type: 'note', id: stem } }))
const started = async (ledger: LocalLedger) => startRuns(ledger, [run_id])
const stemsOf = async (ledger: LocalLedger) => {
  const found: string[] = []
  for await (const { stem } of ledger.workspaces.triplets({ run_id })) found.push(stem)
  return found
}

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
    assert.is((await ledger.runs.get({ run_id })).phase, 'TURN_PROMOTED')
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
    const { count, digest, listed } = (await ledger.log.entry({ seq })).data.issues as {
      count: number
      digest: string
      listed: object[]
    }
    assert.is(count, 200)
    assert.ok(listed.length > 0 && listed.length < 200)
    assert.equal(JSON.parse((await ledger.workspaces.object({ digest })).text), issues)
    assert.equal((await ledger.turns.get(turn('turn-0001'))).issues, issues)
    const bad = triplets.map(({ stem }) => ({ stem: `../${stem}`, body: {} }))
    const error = await refusal(ledger.turns.stage({ ...turn('turn-0001'), triplets: bad }), 'E_STEM_INVALID')
    assert.is((error.details.issues as object[]).length, 200)
  }))

test('objects that an earlier entry names stay when two stages of the same content are refused at once', () =>
  withStage(async (ledger) => {
    await started(ledger)
    const staged = { ...turn('turn-0001'), triplets: stems('one', 'two') }
    await ledger.turns.stage(staged)
    const refused = { ...staged, run_id: 'run_nowhere' }
    await Promise.all([1, 2, 3].map(() => refusal(ledger.turns.stage(refused), 'NOT_FOUND')))
    await ledger.turns.validate(turn('turn-0001'))
    await ledger.log.verify()
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
      await again.log.verify()
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
    await again.log.verify()
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
  await again.log.verify()
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
  copyLedger(root, copy)
  await withLog(copy, damage)
  const ledger = await openLedger({ dir: copy, actor: testActor })
  const error = await refusal(ledger.log.verify())
  assert.is(error.details.check, check)
  await ledger.close()
}
