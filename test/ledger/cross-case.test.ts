import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Action } from '../../src/domain/policy/action.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { sanitized } from '../core/questions.ts'
import { gatedBy, lane, operator, putPolicy, role } from '../support/gated.ts'
import { codeOf } from '../support/governed-runs.ts'

const test = suite('cross-case')

const writes = [{ table: 'notes', mode: 'append' }]
const exporting = { requires: ['case_id'], tools: ['export_bundle.create'] }
const lanes = [
  lane('NOTES', { partial_outputs: true, writes }),
  lane('LOOKUP', { allows: ['cross_case_lookup'], partial_outputs: true, writes }),
  lane('EXPORTS', exporting),
  lane('EXPORTS_OF_ALL', { ...exporting, allows: ['cross_case_lookup'] }),
]
const at = gatedBy(test, {
  lanes,
  roles: [
    role(
      'GOVERNANCE_AGENT',
      lanes.map(({ lane_id }) => lane_id),
    ),
  ],
})

const own = sanitized({ case_id: 'CASE-17' })
const other = sanitized({ case_id: 'CASE-18', scope: 'case' })
const error = { error_code: 'E1', message: 'it broke', retryable: true }
const crossed = ['prohibits/cross_case_lookup']

async function running(ledger: LocalLedger, lane_id: string, more: object = {}): Promise<string> {
  const of = { case_id: 'CASE-17', lane_id, role_id: 'GOVERNANCE_AGENT', run_kind: 'db_write' as const }
  const { run_id } = await ledger.runs.create({ ...of, ...more })
  await ledger.runs.start({ run_id })
  return run_id
}

const write = (lane_id: string, more: Partial<Action> = {}): Action => ({
  action_type: 'db_write',
  lane_id,
  scope: {},
  target: { name: 'notes', mode: 'append' },
  ...more,
})

/** The calls that can take artifacts, each with the run that it made or used. */
const takes: Record<string, (ledger: LocalLedger, lane_id: string, artifact: typeof other) => Promise<string>> = {
  'inputs of a new run': async (ledger, lane_id, artifact) => {
    const run_id = 'run_inputs1'
    const of = { case_id: 'CASE-17', lane_id, role_id: 'GOVERNANCE_AGENT', run_id, run_kind: 'db_write' as const }
    await codeOf(ledger.runs.create({ ...of, inputs: { artifact_refs: [own, artifact] } }))
    return run_id
  },
  'inputs of a child': async (ledger, lane_id, artifact) => {
    const parent_run_id = await running(ledger, lane_id)
    const run_id = 'run_inputs2'
    const of = { lane_id, parent_run_id, role_id: 'GOVERNANCE_AGENT', run_id, run_kind: 'db_write' as const }
    await codeOf(ledger.runs.create({ ...of, inputs: { artifact_refs: [artifact] } }))
    return run_id
  },
  'artifacts of an action': async (ledger, lane_id, artifact) => {
    const run_id = await running(ledger, lane_id)
    await ledger.runs.authorize({ run_id, action: write(lane_id, { artifacts: [artifact] }) })
    return run_id
  },
  'outputs of an action': async (ledger, lane_id, artifact) => {
    const run_id = await running(ledger, lane_id)
    const { decision_id } = await ledger.runs.authorize({ run_id, action: write(lane_id) })
    await codeOf(ledger.runs.record({ run_id, decision_id, outcome: 'success', output_artifacts: [artifact] }))
    return run_id
  },
  'outputs of a completed run': async (ledger, lane_id, artifact) => {
    const run_id = await running(ledger, lane_id)
    await codeOf(ledger.runs.complete({ run_id, outcome_reason: 'done', output_artifacts: [own, artifact] }))
    return run_id
  },
  'outputs of a failed run': async (ledger, lane_id, artifact) => {
    const run_id = await running(ledger, lane_id)
    await codeOf(ledger.runs.fail({ run_id, error, outcome_reason: 'broke', output_artifacts: [artifact] }))
    return run_id
  },
}

for (const [what, take] of Object.entries(takes)) {
  at(`${what} are of the case of the run, unless its lane allows others`, async (ledger) => {
    const run_id = await take(ledger, 'NOTES', other)
    const { denied } = await ledger.runs.why({ run_id })
    assert.equal([(await ledger.runs.get({ run_id })).status, denied?.rule_ids], ['denied', crossed])
    const { events } = await ledger.audit.list({ run_id, action_type: 'authz_decision', outcome: 'deny' })
    assert.equal(
      events.map(({ authz }) => authz?.rule_id),
      crossed,
    )
  })

  at(`${what} may be of another case in a lane that allows it, and of the own case in any`, async (ledger) => {
    assert.is((await ledger.runs.get({ run_id: await take(ledger, 'LOOKUP', other) })).status === 'denied', false)
  })
}

at('a run without a case takes no artifact of a case', async (ledger) => {
  const of = { run_id: 'run_caseless', run_kind: 'orchestrator' as const }
  assert.is(await codeOf(ledger.runs.create({ ...of, inputs: { artifact_refs: [own] } })), 'RUN_DENIED')
})

at('inputs are judged again at the start, by the policy in force then', async (ledger, root) => {
  const of = { case_id: 'CASE-17', lane_id: 'LOOKUP', role_id: 'GOVERNANCE_AGENT', run_kind: 'db_write' as const }
  const { run_id } = await ledger.runs.create({ ...of, inputs: { artifact_refs: [other] } })
  const closed = lanes.map((row) => (row.lane_id === 'LOOKUP' ? lane('LOOKUP', { writes }) : row))
  putPolicy(root, {
    lanes: closed,
    roles: [
      role(
        'GOVERNANCE_AGENT',
        lanes.map(({ lane_id }) => lane_id),
      ),
    ],
  })
  await ledger.policy.reload({ actor: operator })
  assert.is(await codeOf(ledger.runs.start({ run_id })), 'RUN_DENIED')
  assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, crossed)
})

at('any member of a scope that names a case names the case of the run', async (ledger) => {
  for (const key of ['case_id', 'source_case_id', 'case_ids']) {
    const run_id = await running(ledger, 'NOTES')
    const asked = { run_id, action: write('NOTES', { scope: { [key]: 'CASE-18' } }) }
    assert.ok((await ledger.runs.authorize(asked)).rule_ids.includes(crossed[0] ?? ''), key)
  }
})

at('a workflow belongs to the case of its first run', async (ledger) => {
  const workflow_id = 'wf-1'
  const first = await running(ledger, 'NOTES', { workflow_id })
  await ledger.turns.apply({ run_id: first, turn_id: 'turn-0001', triplets: [{ stem: 'one', body: {} }] })
  await running(ledger, 'NOTES', { workflow_id })
  for (const case_id of ['CASE-18', undefined]) {
    const of = { case_id, lane_id: 'LOOKUP', role_id: 'GOVERNANCE_AGENT', run_kind: 'db_write' as const, workflow_id }
    const run_id = `run_other_${case_id}`
    assert.is(await codeOf(ledger.runs.create({ ...of, run_id })), 'RUN_DENIED')
    assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, [`workflow:${workflow_id}/case`])
    assert.is(await codeOf(ledger.runs.start({ run_id })), 'INVALID_STATE_TRANSITION')
  }
})

at('a run that is denied when it is created claims no workflow', async (ledger) => {
  const of = { run_kind: 'orchestrator' as const, workflow_id: 'wf-1' }
  const inputs = { artifact_refs: [other] }
  assert.is(await codeOf(ledger.runs.create({ ...of, case_id: 'CASE-17', inputs })), 'RUN_DENIED')
  assert.is((await ledger.runs.create({ ...of, case_id: 'CASE-18', inputs })).status, 'created')
})

at('an export of another case is denied on record, and never allowed', async (ledger, root) => {
  await ledger.runs.create({ case_id: 'CASE-18', run_id: 'run_other_case', run_kind: 'orchestrator' })
  await ledger.runs.create({ case_id: 'CASE-17', run_id: 'run_own_case', run_kind: 'orchestrator' })
  const to = (await ledger.head.get()).size - 1
  let count = 0
  const create = async (lane_id: string, select: object) => {
    count += 1
    const file = `${root}/bundle${count}.tar.gz`
    const of = { bundle_kind: 'internal_review', lane_id, role_id: 'GOVERNANCE_AGENT', scope: { case_id: 'CASE-17' } }
    return codeOf(ledger.exports.create({ ...of, file, select } as Parameters<typeof ledger.exports.create>[0]))
  }
  for (const select of [{ case_id: 'CASE-18' }, { run_id: 'run_other_case' }, { from: 0, to }]) {
    const { size } = await ledger.head.get()
    assert.is(await create('EXPORTS', select), 'RUN_DENIED', JSON.stringify(select))
    const decided: string[] = []
    for await (const { data, type } of ledger.log.read({ from: size })) {
      if (type === 'run.decided' && data.on === 'export') decided.push(`${data.decision} ${data.rule_ids}`)
    }
    assert.equal(decided, [`deny ${crossed}`], JSON.stringify(select))
    assert.is(await create('EXPORTS_OF_ALL', select), 'none', JSON.stringify(select))
  }
  assert.is(await create('EXPORTS', { case_id: 'CASE-17' }), 'none')
  assert.is(await create('EXPORTS', { run_id: 'run_own_case' }), 'none')
})

test.run()
