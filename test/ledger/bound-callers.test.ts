import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { dictation } from '../core/run/world.ts'
import { codeOf } from '../support/governed-runs.ts'
import { withLedger } from '../support/ledger.ts'
import { newest } from '../support/newest.ts'
import { asPlainError } from '../support/scene.ts'

const test = suite('who may work in a run by the configuration')

const agent = (actor_id: string) => ({ actor_id, actor_type: 'agent' }) as const
const [bound, unbound, operator] = [agent('agent-2'), agent('agent-1'), agent('op-1')]
const config = { actors: { 'agent-2': ['INTERVIEW_AGENT', 'INTAKE_AGENT'] }, operators: ['op-1'] }
const intake = { lane_id: 'WRITE_INTAKE_ARTIFACTS', role_id: 'INTAKE_AGENT', run_kind: 'db_write' } as const
const tool = { lane_id: dictation.lane_id, role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway' } as const

/** A ledger in which an actor without roles has a running run, so that he may act on the runs below it. */
function at(title: string, work: (ledger: LocalLedger) => Promise<void>): void {
  test(title, () =>
    withLedger(
      async (ledger) => {
        await ledger.runs.create({ run_id: 'run_top_1', run_kind: 'orchestrator' })
        await ledger.runs.start({ run_id: 'run_top_1' })
        await work(ledger).catch(asPlainError)
      },
      { config, policy: true },
    ),
  )
}

/** A run below it, made for the actor who has the role. */
async function made(ledger: LocalLedger, of: typeof intake | typeof tool, run_id: string): Promise<void> {
  const { case_id, parent_run_id } = { case_id: 'CASE-17', parent_run_id: 'run_top_1' }
  await ledger.runs.create({ ...of, actor: unbound, case_id, parent_run_id, run_actor: bound, run_id })
}

/** The call is refused as NOT_RUN_ACTOR, and the refusal is the newest entry of the run. */
async function refuses(ledger: LocalLedger, call: Promise<unknown>): Promise<void> {
  assert.is(await codeOf(call), 'NOT_RUN_ACTOR')
  const { actor, data, type } = await newest(ledger)
  assert.equal([type, data.code, actor.actor_id], ['run.refused', 'NOT_RUN_ACTOR', unbound.actor_id])
}

at('a start by a caller who may not have the role of the run denies the run', async (ledger) => {
  await made(ledger, intake, 'run_child1')
  assert.is(await codeOf(ledger.runs.start({ actor: unbound, run_id: 'run_child1' })), 'RUN_DENIED')
  const { denied } = await ledger.runs.why({ run_id: 'run_child1' })
  assert.equal(denied?.rule_ids, ['role:INTAKE_AGENT/actors'])
  await made(ledger, intake, 'run_child2')
  assert.is((await ledger.runs.start({ actor: operator, run_id: 'run_child2' })).status, 'running')
})

at(
  'nobody records, completes or changes turns in a run without its role, and anyone above stops it',
  async (ledger) => {
    const { runs, turns } = ledger
    await made(ledger, intake, 'run_child1')
    await runs.start({ actor: bound, run_id: 'run_child1' })
    const turn = { run_id: 'run_child1', turn_id: 'turn-0001' }
    const triplets = [{ body: { text: 'a' }, stem: 'GOV.rules.a' }]
    await refuses(ledger, turns.stage({ ...turn, actor: unbound, triplets }))
    await turns.stage({ ...turn, actor: bound, triplets })
    await refuses(ledger, turns.validate({ ...turn, actor: unbound }))
    await refuses(ledger, turns.promote({ ...turn, actor: unbound }))
    await refuses(ledger, runs.complete({ actor: unbound, outcome_reason: 'done', run_id: 'run_child1' }))
    await turns.reject({ ...turn, actor: unbound, reason: 'stopped' })
    await runs.cancel({ actor: unbound, outcome_reason: 'stopped', run_id: 'run_child1' })
    assert.is((await runs.get({ run_id: 'run_child1' })).status, 'cancelled')
  },
)

at('nobody records an action of a run without its role, by neither of the two ways', async (ledger) => {
  const { audit, runs } = ledger
  const run_id = 'run_tool1'
  await made(ledger, tool, run_id)
  await runs.start({ actor: bound, run_id })
  const { decision_id } = await runs.authorize({ action: dictation, actor: bound, run_id })
  await refuses(ledger, runs.record({ actor: unbound, decision_id, outcome: 'success', run_id }))
  const event = { action_type: 'tool_call', decision_id, outcome: 'success', run_id } as const
  const other = { ...unbound, on_behalf_of: 'someone' }
  assert.is(await codeOf(audit.append({ actor: other, events: [event] })), 'NOT_RUN_ACTOR')
  await runs.record({ actor: operator, decision_id, outcome: 'success', run_id })
  assert.is((await runs.complete({ actor: operator, outcome_reason: 'done', run_id })).status, 'completed')
})

test.run()
