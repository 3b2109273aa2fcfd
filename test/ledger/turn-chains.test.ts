import { hash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { nextOf } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { page, startRun, tombstone, turnId } from '../support/pages.ts'
import { configure } from '../support/scene.ts'
import { refusal, watch, withStage } from './stage.ts'

const test = suite('chains of turns')
const run_id = 'run_one_1'
const first = { run_id, turn_id: 'turn-0001' }

const chainOf = (ledger: LocalLedger, run = run_id) => ledger.turns.list({ run_id: run })
const stemsOf = async (ledger: LocalLedger) => {
  const stems: string[] = []
  for await (const { stem } of ledger.workspaces.triplets({ run_id })) stems.push(stem)
  return stems
}

test('go on from turn-9999 to turn-10000, without a gap or a repeat', () =>
  withLedger(async (ledger) => {
    await startRun(ledger, run_id)
    // Asked for at once, they are decided in this order, many in a batch.
    for (let turn = 1; turn < 9_999; turn += 1_000) {
      const turns = Array.from({ length: Math.min(1_000, 9_999 - turn) }, (_, index) => turnId(turn + index))
      await Promise.all(turns.map((turn_id) => ledger.turns.promote({ run_id, turn_id })))
    }
    await refusal(ledger.turns.promote({ run_id, turn_id: 'turn-10000' }), 'E_PROMOTION_OUT_OF_ORDER')
    await ledger.turns.apply({ run_id, turn_id: 'turn-9999', triplets: [page('a')] })
    await refusal(ledger.turns.promote({ run_id, turn_id: 'turn-010000' }), 'E_PROMOTION_FAILED')
    await ledger.turns.apply({ run_id, turn_id: 'turn-10000', triplets: [page('b', 1, 'a')] })
    const { last_promoted_turn_id, turns } = await chainOf(ledger)
    assert.is(last_promoted_turn_id, 'turn-10000')
    assert.equal(
      turns.map(({ turn_id }) => turn_id),
      Array.from({ length: 10_000 }, (_, index) => turnId(index + 1)),
    )
    const pages: string[][] = []
    let cursor: number | undefined
    do {
      const page = await ledger.turns.list({ run_id, limit: 3_000, cursor })
      pages.unshift(page.turns.map(({ turn_id }) => turn_id))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    assert.is(pages.length, 4)
    assert.equal(
      pages.flat(),
      turns.map(({ turn_id }) => turn_id),
    )
    const error = await refusal(ledger.turns.list({ run_id, cursor: 0 }), 'INVALID_INPUT')
    assert.match(error.message, /entry 0 is not a promotion of run_one_1/)
    assert.is((await ledger.turns.get(first)).status, 'promoted')
    assert.is((await ledger.workspaces.files()).files, 'current')
    await ledger.workspaces.check({ run_id })
  }))

test('have one winner of those who promote a turn at once, and of runs that write one stem from one base', () =>
  withLedger(async (ledger) => {
    for (const run of [run_id, 'run_two_1']) await startRun(ledger, run, 'flow-1')
    const turns = [run_id, 'run_two_1'].map((run) => ({ run_id: run, turn_id: 'turn-0001' }))
    for (const [index, turn] of turns.entries()) {
      await ledger.turns.stage({ ...turn, triplets: [{ ...page('a', index), base_digest: null }] })
      await ledger.turns.validate(turn)
    }
    const promotes = [...turns, ...turns, ...turns].map((turn) => ledger.turns.promote(turn))
    const states = watch(promotes)
    await Promise.allSettled(promotes)
    assert.equal(states, [
      ...['answered', 'E_PROMOTION_CONFLICT', 'E_PROMOTION_ALREADY_APPLIED'],
      ...['E_PROMOTION_CONFLICT', 'E_PROMOTION_ALREADY_APPLIED', 'E_PROMOTION_CONFLICT'],
    ])
  }))

test('give up what is open when their run is told to discard it, as a rejection; other ends leave it as it is', () =>
  withStage(async (ledger) => {
    for (const run of [run_id, 'run_two_1']) {
      await startRun(ledger, run)
      await ledger.turns.stage({ run_id: run, turn_id: 'turn-0001', triplets: [page('a')] })
    }
    await refusal(ledger.runs.complete({ run_id, outcome_reason: 'done' }), 'RUN_HAS_OPEN_TURN')
    await ledger.runs.complete({ run_id, outcome_reason: 'done', discard_turn: true })
    assert.is((await chainOf(ledger)).phase, 'RUN_COMPLETED')
    assert.is((await ledger.turns.get(first)).status, 'rejected')
    const { data, type } = await ledger.log.entry({ seq: (await ledger.turns.get(first)).seq })
    assert.equal([type, data.by, data.turn_id], ['turn.rejected', 'completion', 'turn-0001'])
    await ledger.runs.fail({
      run_id: 'run_two_1',
      outcome_reason: 'no',
      error: { error_code: 'X', message: 'y', retryable: false },
    })
    assert.is((await chainOf(ledger, 'run_two_1')).phase, 'RUN_FAILED')
    assert.is((await ledger.turns.get({ run_id: 'run_two_1', turn_id: 'turn-0001' })).status, 'staged')
  }))

test('have the phase of their last event, a refused stage and a failed validation among them', () =>
  withStage(async (ledger) => {
    await startRun(ledger, run_id)
    const phases: string[] = []
    const phase = async () => phases.push((await chainOf(ledger)).phase)
    await refusal(ledger.turns.stage({ ...first, triplets: [page('../a')] }))
    await phase()
    await refusal(ledger.turns.promote(first), 'E_PROMOTION_FAILED')
    await phase()
    await ledger.turns.stage({ ...first, triplets: [page('a', 1, 'b')] })
    await phase()
    await ledger.turns.validate(first)
    await phase()
    await refusal(ledger.turns.stage({ ...first, turn_id: 'turn-0002', triplets: [] }), 'E_PROMOTION_OUT_OF_ORDER')
    await phase()
    assert.equal(phases, ['TURN_REJECTED', 'PROMOTION_REJECTED', 'TURN_STAGED', 'TURN_REJECTED', 'TURN_REJECTED'])
  }))

test('are bounded as the configuration has it: past an object, a turn, its stems or refs nothing is stored', async () => {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, actor: testActor })).close()
  await configure(root, { turn_limits: { object_bytes: 100, turn_bytes: 300, stems: 3, refs: 2 } })
  const ledger = await openLedger({ dir: root, actor: testActor })
  await startRun(ledger, run_id)
  const stage = (triplets: { stem: string; body: object }[], more = {}) =>
    ledger.turns.stage({ ...first, triplets, ...more })
  const body = (bytes: number) => ({ x: 'x'.repeat(bytes - '{"x":""}'.length) })
  const of = (...bytes: number[]) => bytes.map((count, index) => ({ stem: `s${index}`, body: body(count) }))
  // Links and manifests have two bytes each.
  for (const wrong of [of(101), of(100, 100, 89), of(10, 10, 10, 10)]) {
    await refusal(stage(wrong), 'LIMIT_EXCEEDED')
  }
  await refusal(
    stage(of(10, 10), { tombstones: [tombstone('a', 'turn-0001'), tombstone('b', 'turn-0001')] }),
    'LIMIT_EXCEEDED',
  )
  await refusal(stage([], { delete_stem: ['a', 'b', 'c', 'd'] }), 'LIMIT_EXCEEDED')
  const ref = { type: 'x', id: 'x' }
  const pointing = (...counts: number[]) =>
    counts.map((count, at) => ({ stem: `s${at}`, body: {}, links: { x: Array.from({ length: count }, () => ref) } }))
  await refusal(stage(pointing(1, 2)), 'LIMIT_EXCEEDED')
  await stage(pointing(1, 1))
  assert.is((await stage(of(100, 100, 88))).bytes, 300)
  await ledger.close()
  await endsWithVerify(root)
})

test('are refused with 10,000 of the issues of an object that has more of them than a call takes arguments', () =>
  withLedger(async (ledger) => {
    await startRun(ledger, run_id)
    const triplets = [{ stem: 'a', body: {}, links: { next: Array.from({ length: 200_000 }, () => 1) } }]
    const refused = await refusal(ledger.turns.stage({ ...first, triplets }), 'E_DTO_LINKS_WRONG_CONTAINER_SHAPE')
    assert.is((refused.details.issues as object[]).length, 10_000)
  }))

test('say of a promotion what it changed by a digest that anyone can make', () =>
  withLedger(async (ledger) => {
    await startRun(ledger, run_id)
    await ledger.turns.apply({ ...first, triplets: [page('b'), page('a', 1, 'b'), page('c')] })
    const turn = { run_id, turn_id: 'turn-0002' }
    const { delta_digest } = await ledger.turns.apply({
      ...turn,
      triplets: [page('a', 2, 'b')],
      tombstones: [tombstone('c', 'turn-0002')],
    })
    const { triplet } = await ledger.workspaces.stem({ run_id, stem: 'a' })
    assert.is(delta_digest, hash('sha256', JSON.stringify({ deleted_stems: ['c'], records: [triplet] })))
    assert.equal(Object.keys(triplet), Object.keys(triplet).toSorted())
    assert.equal(await stemsOf(ledger), ['a', 'b'])
  }))

test('tell each of many tombstones whose stem is not there, and delete the others', async () => {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, actor: testActor })).close()
  await configure(root, { turn_limits: { stems: 20_000 } })
  const ledger = await openLedger({ dir: root, actor: testActor })
  await startRun(ledger, run_id)
  await ledger.turns.apply({ ...first, triplets: [page('s9')] })
  const tombstones = Array.from({ length: 10_500 }, (_, at) => tombstone(`s${at}`, 'turn-0002'))
  const promoted = await ledger.turns.apply({ run_id, turn_id: 'turn-0002', tombstones })
  assert.equal([promoted.deleted_stems, promoted.issues.length], [['s9'], 10_499])
  assert.equal((await ledger.turns.get({ run_id, turn_id: 'turn-0002' })).promotion?.deleted_stems, ['s9'])
  await ledger.close()
  await endsWithVerify(root)
})

test('keep the sources of a target in the order of stems and locations, by their bytes', () =>
  withLedger(async (ledger) => {
    await startRun(ledger, run_id)
    const to = { type: 'page', id: 'z' }
    const links = { b: Array.from({ length: 11 }, () => to), 'a/~': { ...to, relationship: 'of' } }
    const triplets = [
      { stem: 'é', body: {}, links },
      { stem: 'z', body: { dto_type: 'page', id: 'z' }, links: { self: to } },
    ]
    const { issues } = await ledger.turns.apply({ ...first, triplets })
    assert.equal(
      issues.map(({ code, details }) => [code, details]),
      [['I_REF_MULTISOURCE', { ...to, sources: 13 }]],
    )
    const { value: record } = await nextOf(ledger.workspaces.refs({ run_id }))
    const { links_digest } = (await ledger.workspaces.stem({ run_id, stem: 'é' })).triplet
    assert.equal(record?.sources[1], {
      ...{ artifact_digest: links_digest, location: '/links/a~1~0' },
      ...{ relationship: 'of', stem: 'é' },
    })
    assert.equal(
      record?.sources.map(({ location, stem }: { location: string; stem: string }) => `${stem} ${location}`),
      ['z /links/self', 'é /links/a~1~0', ...[0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9].map((at) => `é /links/b/${at}`)],
    )
  }))

test.run()
