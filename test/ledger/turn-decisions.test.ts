import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { codeOf } from '../support/governed-runs.ts'
import { withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const test = suite('a lane whose turns need a decision')
const lane_id = 'WRITE_INTAKE_ARTIFACTS'
const of = { case_id: 'CASE-17', lane_id, role_id: 'INTAKE_AGENT' }
const run_id = 'run_write1'
const first = { run_id, turn_id: 'turn-0001' }
const second = { run_id, turn_id: 'turn-0002' }

/** A ledger whose policy has `turns` in the lane for intake, and a running run in that lane. */
function inLane(
  title: string,
  turns: string | undefined,
  work: (ledger: LocalLedger, root: string) => Promise<void>,
  run_kind: 'agent' | 'db_write' = 'db_write',
): void {
  test(title, () =>
    withLedger(
      async (ledger, root) => {
        const file = join(root, '.lockstep/policy/lanes.yaml')
        const [before = '', after = ''] = readFileSync(file, 'utf8').split(`lane_id: ${lane_id}\n`)
        const more = turns === undefined ? '' : `    turns: { require_decision: ${turns} }\n`
        writeFileSync(file, `${before}lane_id: ${lane_id}\n${more}${after}`)
        await ledger.policy.reload({ actor: { actor_id: 'BECCA', actor_type: 'human' } })
        await ledger.runs.create({ ...of, run_id, run_kind })
        await ledger.runs.start({ run_id })
        await work(ledger, root).catch(asPlainError)
      },
      { policy: true },
    ),
  )
}

async function allowIn({ runs }: LocalLedger): Promise<string> {
  const scope = { case_id: of.case_id, run_id }
  const target = { name: 'transcripts', mode: 'append' }
  const { decision, decision_id } = await runs.authorize({
    run_id,
    action: { action_type: 'db_write', lane_id, scope, target },
  })
  is(decision, 'allow')
  return decision_id
}

async function validated({ turns }: LocalLedger, turn: typeof first, stem = 'one'): Promise<void> {
  await turns.stage({ ...turn, triplets: [{ stem, body: {} }] })
  await turns.validate(turn)
}

inLane('a promotion without a decision is refused, and the refusal is on record', 'true', async (ledger) => {
  await validated(ledger, first)
  is(await codeOf(ledger.turns.promote(first)), 'DECISION_REQUIRED')
  is((await lastOf(ledger, 'turn.promotion_rejected')).data.code, 'DECISION_REQUIRED')
  is(await codeOf(ledger.turns.promote({ ...first, decision_id: 'evt_nowhere_1' })), 'DECISION_NOT_OPEN')
  is(await codeOf(ledger.turns.apply({ ...first, triplets: [{ stem: 'two', body: {} }] })), 'DECISION_REQUIRED')
  is((await ledger.runs.get({ run_id })).last_promoted_turn_id, 'turn-0000')
})

inLane('a promotion uses its decision once, and is its one action event', 'true', async (ledger) => {
  const decision_id = await allowIn(ledger)
  await validated(ledger, first)
  const types = await typesAppended(ledger, () => ledger.turns.promote({ ...first, decision_id }))
  equal(types, ['run.acted', 'turn.promoted'])
  const { data } = await lastOf(ledger, 'run.acted')
  equal([data.decision_id, data.action_type, data.outcome], [decision_id, 'db_write', 'success'])
  is((await lastOf(ledger, 'turn.promoted')).data.decision_id, decision_id)
  await validated(ledger, second, 'two')
  is(await codeOf(ledger.turns.promote({ ...second, decision_id })), 'DECISION_NOT_OPEN')
  is(await codeOf(ledger.runs.record({ run_id, decision_id, outcome: 'success' })), 'DECISION_NOT_OPEN')
  const next = await allowIn(ledger)
  const applied = { ...second, decision_id: next, idempotency_key: 'key-1', triplets: [{ stem: 'two', body: {} }] }
  is((await ledger.turns.apply(applied)).turn_id, 'turn-0002')
  is((await ledger.turns.apply(applied)).replayed, true)
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
})

inLane('a decision that was recorded, denied or made in another run promotes nothing', 'true', async (ledger) => {
  const { runs, turns } = ledger
  const recorded = await allowIn(ledger)
  await runs.record({ run_id, decision_id: recorded, outcome: 'failure' })
  await runs.create({ ...of, run_id: 'run_write2', run_kind: 'db_write' })
  await runs.start({ run_id: 'run_write2' })
  const scope = { case_id: of.case_id, run_id: 'run_write2' }
  const target = { name: 'transcripts', mode: 'append' }
  const action = { action_type: 'db_write' as const, lane_id, scope, target }
  const other = (await runs.authorize({ run_id: 'run_write2', action })).decision_id
  await validated(ledger, first)
  for (const decision_id of [recorded, other]) {
    is(await codeOf(turns.promote({ ...first, decision_id })), 'DECISION_NOT_OPEN')
  }
})

inLane(
  'governs the workflow: a run without a lane, and an earlier run, need a decision there as well',
  'true',
  async (ledger) => {
    const { runs, turns } = ledger
    const started = async (id: string, more: object) => {
      await runs.create({ run_id: id, ...more } as Parameters<typeof runs.create>[0])
      await runs.start({ run_id: id })
    }
    const free = { case_id: of.case_id, run_kind: 'orchestrator' }
    await started('run_before', { ...free, workflow_id: 'wf-1' })
    await validated(ledger, { run_id: 'run_before', turn_id: 'turn-0001' })
    await turns.promote({ run_id: 'run_before', turn_id: 'turn-0001' })
    const types = await typesAppended(ledger, () =>
      started('run_governed', { ...of, run_kind: 'db_write', workflow_id: 'wf-1' }),
    )
    equal(types.slice(-3), ['run.decided', 'run.started', 'workflow.governed'])
    await started('run_after', { ...free, workflow_id: 'wf-1' })
    await started('run_second', { ...of, run_kind: 'db_write', workflow_id: 'wf-1' })
    is((await entriesOf(ledger)).filter(({ type }) => type === 'workflow.governed').length, 1)
    for (const turn of [
      { run_id: 'run_before', turn_id: 'turn-0002' },
      { run_id: 'run_after', turn_id: 'turn-0001' },
    ]) {
      await validated(ledger, turn, `of-${turn.run_id}`)
      is(await codeOf(turns.promote(turn)), 'DECISION_REQUIRED')
      is((await lastOf(ledger, 'turn.promotion_rejected')).data.code, 'DECISION_REQUIRED')
      is(await codeOf(turns.apply({ ...turn, triplets: [{ stem: 'two', body: {} }] })), 'DECISION_REQUIRED')
    }
    await started('run_elsewhere', { ...free, workflow_id: 'wf-2' })
    await validated(ledger, { run_id: 'run_elsewhere', turn_id: 'turn-0001' })
    await turns.promote({ run_id: 'run_elsewhere', turn_id: 'turn-0001' })
  },
)

inLane(
  'a run that can get no decision promotes nothing, and a policy loaded later changes nothing for it',
  'true',
  async (ledger, root) => {
    await validated(ledger, first)
    is(await codeOf(ledger.turns.promote(first)), 'DECISION_REQUIRED')
    const file = join(root, '.lockstep/policy/lanes.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('require_decision: true', 'require_decision: false'))
    await ledger.policy.reload({ actor: { actor_id: 'BECCA', actor_type: 'human' } })
    is(await codeOf(ledger.turns.promote(first)), 'DECISION_REQUIRED')
  },
  'agent',
)

for (const turns of [undefined, 'false']) {
  inLane(
    `without the rule (${turns}) a promotion takes no decision, but uses one that it names`,
    turns,
    async (ledger) => {
      await validated(ledger, first)
      await ledger.turns.promote(first)
      const decision_id = await allowIn(ledger)
      await validated(ledger, second, 'two')
      is(await codeOf(ledger.turns.promote({ ...second, decision_id: 'evt_nowhere_1' })), 'DECISION_NOT_OPEN')
      await ledger.turns.promote({ ...second, decision_id })
      is((await entriesOf(ledger)).filter(({ type }) => type === 'run.acted').length, 1)
    },
  )
}

test.run()
