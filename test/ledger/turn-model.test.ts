// limit: 420
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { digestOf, type Pair, type Proposed } from '../core/turn/proposed.ts'
import { TurnModel, wholeOf } from '../core/turn/turn-model.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { configure } from '../support/scene.ts'
import { randomBelow } from '../support/seed.ts'
import { startRuns } from '../support/turns.ts'

const test = suite('turn model')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 400)
const below = randomBelow('turn model')

const runs = ['run_one_1', 'run_two_1', 'run_three_1']
const stems = ['a', 'A', 'b', 'b/c', 'B/c', 'd.1', 'd.2', 'é', 'z']
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)] as T
const pair = (): Pair => ({ id: String(below(5)), type: 'note' })

function proposal(model: TurnModel): Proposed {
  const base = (stem: string) => {
    const held = model.stems.get(stem)
    if (below(4) > 0) return {}
    return {
      base:
        below(4) === 0
          ? digestOf({ other: 1 })
          : held && below(4) > 0
            ? below(2) === 0
              ? wholeOf(held)
              : digestOf(held.body)
            : null,
    }
  }
  const chosen = (max: number) => [...new Set(Array.from({ length: below(max + 1) }, () => oneOf(stems)))]
  const link = () => (below(3) === 0 ? [pair(), pair()] : pair())
  return {
    triplets: chosen(4).map((stem) => {
      const { id, type } = pair()
      const body = below(6) === 0 ? { v: below(3) } : { dto_type: type, id, v: below(3) }
      const links = Object.fromEntries(Array.from({ length: below(3) }, (_, index) => [`l${index}`, link()]))
      return { stem, body, links, ...base(stem) }
    }),
    tombstones: chosen(2).map((stem) => {
      const { dto_type: type, id } = (model.stems.get(stem)?.body ?? {}) as { dto_type?: string; id?: string }
      const own = type === undefined || id === undefined || below(6) === 0 ? pair() : { id, type }
      return { stem, pair: own, ...base(stem) }
    }),
    delete_stem: below(12) === 0 ? [oneOf(stems)] : [],
  }
}

const turnIdOf = (number: number) => `turn-${String(number).padStart(4, '0')}`

/** The same step in the ledger: what it comes to, as the model says it. */
async function outcomeOf(call: Promise<{ outcome?: string }>): Promise<string> {
  try {
    return (await call).outcome === 'FAIL' ? 'FAIL' : 'PASS'
  } catch (error) {
    if (error instanceof LockstepError) return error.code
    throw error
  }
}

function stage(
  ledger: LocalLedger,
  of: { run_id: string; turn_id: string },
  { delete_stem, tombstones, triplets }: Proposed,
) {
  const based = <T extends { base?: string | null }>({ base, ...rest }: T) =>
    base === undefined ? rest : { ...rest, base_digest: base }
  return ledger.turns.stage({
    ...of,
    delete_stem,
    tombstones: tombstones.map(({ pair: { id, type }, ...rest }) =>
      based({ ...rest, deleted_by_turn_id: of.turn_id, dto_type: type, id, kind: 'tombstone' }),
    ),
    triplets: triplets.map(based),
  })
}

async function step(ledger: LocalLedger, model: TurnModel): Promise<string> {
  const run_id = oneOf(runs)
  const due = (model.chains.get(run_id)?.last ?? 0) + 1
  const number = below(15) === 0 ? Math.max(1, due + below(3) - 1) : due
  const of = { run_id, turn_id: turnIdOf(number) }
  const what = oneOf([
    'stage',
    'stage',
    'stage',
    'validate',
    'validate',
    'promote',
    'promote',
    'promote',
    'reject',
  ] as const)
  if (below(3) === 0 && what === 'promote') {
    // A whole turn in one go, so that chains grow.
    const proposed = proposal(model)
    if (model.stage(run_id, number, proposed) === 'PASS') await stage(ledger, of, proposed)
    else await outcomeOf(stage(ledger, of, proposed))
    assert.is(await outcomeOf(ledger.turns.validate(of)), model.validate(run_id, number))
  }
  if (what === 'stage') {
    const proposed = proposal(model)
    assert.is(
      await outcomeOf(stage(ledger, of, proposed)),
      model.stage(run_id, number, proposed),
      JSON.stringify(proposed),
    )
  } else if (what === 'validate') {
    assert.is(await outcomeOf(ledger.turns.validate(of)), model.validate(run_id, number))
  } else if (what === 'reject') {
    assert.is(
      await outcomeOf(ledger.turns.reject({ ...of, reason: 'no' }) as Promise<object>),
      model.reject(run_id, number),
    )
  } else {
    const outcome = model.promote(run_id, number)
    assert.is(await outcomeOf(ledger.turns.promote(of)), outcome)
    return outcome
  }
  return what
}

/** One carrier an identity, and the index as the triplets give it. */
async function compareIndex(ledger: LocalLedger, model: TurnModel): Promise<void> {
  const carried: string[] = []
  for await (const { dto_type, id } of ledger.workspaces.triplets({ workflow_id: 'flow-1' })) {
    if (id !== null) carried.push(JSON.stringify([dto_type, id]))
  }
  assert.is(new Set(carried).size, carried.length, 'one carrier an identity')
  const refs: object[] = []
  for await (const record of ledger.workspaces.refs({ workflow_id: 'flow-1' })) refs.push(record)
  assert.equal(refs, model.refs())
}

/** The files on disk, turn by turn made from those before, are what the ledger would write anew. */
async function compareFiles(ledger: LocalLedger): Promise<void> {
  assert.is((await ledger.workspaces.files()).files, 'current')
  await ledger.workspaces.check({ workflow_id: 'flow-1' })
}

for (const isOptimistic of [true, false]) {
  const title = isOptimistic ? 'with base digests that are required' : 'with optional base digests'
  test(`state_digest, index, chains and files are the model’s after every step, ${title}`, () => played(isOptimistic))
}

async function played(isOptimistic: boolean): Promise<void> {
  const dir = temporaryRoot()
  const model = new TurnModel({ isOptimistic })
  await (await openLedger({ dir, create: true, actor: testActor })).close()
  await configure(dir, { workflows: { optimistic: isOptimistic } })
  let ledger = await openLedger({ dir, actor: testActor })
  await startRuns(ledger, runs, 'flow-1')
  const reached = new Map<string, number>()
  const digests: { at: number; state_digest: string }[] = []
  for (let round = 0; round < rounds; round += 1) {
    const outcome = await step(ledger, model)
    reached.set(outcome, (reached.get(outcome) ?? 0) + 1)
    const { size, state_digest } = await ledger.workspaces.digest({ workflow_id: 'flow-1' })
    assert.is(state_digest, model.stateDigest(), `after step ${round}`)
    for (const [run_id, { last }] of model.chains)
      assert.is((await ledger.runs.get({ run_id })).last_promoted_turn_id, turnIdOf(last))
    if (round % 25 === 0) await compareIndex(ledger, model)
    if (round % 200 === 0) digests.push({ at: size, state_digest })
    if (below(150) === 0) {
      await compareFiles(ledger)
      await ledger.close()
      ledger = await openLedger({ dir, actor: testActor })
    }
  }
  await compareIndex(ledger, model)
  await compareFiles(ledger)
  for (const { at, state_digest } of digests) {
    assert.is((await ledger.workspaces.digest({ workflow_id: 'flow-1', at })).state_digest, state_digest, `at ${at}`)
  }
  for (const run_id of runs) {
    const { turns } = await ledger.turns.list({ run_id })
    const promoted = turns.filter(({ status }) => status === 'promoted').map(({ turn_id }) => turn_id)
    assert.equal(
      promoted,
      promoted.map((_, index) => turnIdOf(index + 1)),
      'no gap and no repeat',
    )
  }
  await ledger.close()
  await endsWithVerify(dir)
  if (rounds < 2_000) return
  const wanted = [
    'PASS',
    'E_PROMOTION_FAILED',
    'E_PROMOTION_NOT_VALIDATED',
    'E_PROMOTION_OUT_OF_ORDER',
    'E_PROMOTION_ALREADY_APPLIED',
  ]
  for (const outcome of wanted) assert.ok((reached.get(outcome) ?? 0) > 0, `${outcome} was reached`)
}

test.run()
