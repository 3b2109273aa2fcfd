import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { gatedBy, lane, operator, putPolicy, role } from '../support/gated.ts'
import { codeOf } from '../support/governed-runs.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const test = suite('policy pins')

const roles = [role('GOVERNANCE_AGENT', ['TOOLS'])]
const open = { lanes: [lane('TOOLS', { tools: ['read.page'], partial_outputs: true })], roles }
/** No text, and no outputs of failures. */
const closed = { lanes: [lane('TOOLS', { tools: ['read.page'], prohibits: ['raw_case_text'] })], roles }
const at = gatedBy(test, open)

const facts = { lane_id: 'TOOLS', role_id: 'GOVERNANCE_AGENT', run_kind: 'tool_gateway' } as const
const error = { error_code: 'E1', message: 'the page was not found', retryable: true }
const page = { artifact_id: 'page-1', artifact_kind: 'page', hash_sha256: 'ab'.repeat(32) }
const action = (run_id: string) => ({
  action_type: 'tool_call' as const,
  lane_id: 'TOOLS',
  scope: { run_id },
  target: { name: 'read.page' },
})

at('the pins that a caller states are those of the policy in force, in either case', async (ledger) => {
  const { lanes, roles: pinned } = await ledger.policy.show()
  const { run_id } = await ledger.runs.create(facts)
  const policy_versions = { lanes: lanes.pin.toUpperCase(), roles: pinned.pin }
  const record = await ledger.runs.start({ run_id, policy_versions })
  assert.equal(record.policy_versions, { lanes: lanes.pin, roles: pinned.pin })
  assert.is(record.pin_evidence?.lanes?.source, lanes.source)
})

at('pins of no policy in force deny the start, and the rule is on record', async (ledger) => {
  const { roles: pinned } = await ledger.policy.show()
  const { run_id } = await ledger.runs.create(facts)
  const policy_versions = { lanes: 'ab'.repeat(20), roles: pinned.pin }
  assert.is(await codeOf(ledger.runs.start({ run_id, policy_versions })), 'RUN_DENIED')
  const { denied } = await ledger.runs.why({ run_id })
  assert.equal([denied?.reason, denied?.rule_ids], ['drift', ['pin_mismatch:lanes']])
})

at('pins of a policy that is no longer in force deny the start', async (ledger, root) => {
  const { lanes, roles: pinned } = await ledger.policy.show()
  const { run_id } = await ledger.runs.create(facts)
  putPolicy(root, closed)
  await ledger.policy.reload({ actor: operator })
  const policy_versions = { lanes: lanes.pin, roles: pinned.pin }
  assert.is(await codeOf(ledger.runs.start({ run_id, policy_versions })), 'RUN_DENIED')
  assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, ['pin_mismatch:lanes'])
})

at('an event is judged by the policy whose pins it carries', async (ledger, root) => {
  const { run_id } = await ledger.runs.create(facts)
  await ledger.runs.start({ run_id })
  const [first, second] = [
    await ledger.runs.authorize({ run_id, action: action(run_id) }),
    await ledger.runs.authorize({ run_id, action: action(run_id) }),
  ]
  putPolicy(root, closed)
  await ledger.policy.reload({ actor: operator })
  const failed = { outcome: 'failure' as const, output_artifacts: [page], outcome_reason: 'the page was not found' }
  await ledger.runs.record({ run_id, decision_id: first.decision_id, error, ...failed })
  await ledger.runs.record({ run_id, decision_id: second.decision_id, outcome: 'success' })
  await ledger.runs.fail({ run_id, error, outcome_reason: 'the page was not found', output_artifacts: [page] })
  await ledger.runs.retry({ run_id, retry_reason: 'the page is there now' })
})

at('a later policy does not lift what the pinned policy prohibits', async (ledger, root) => {
  putPolicy(root, closed)
  await ledger.policy.reload({ actor: operator })
  const { run_id } = await ledger.runs.create(facts)
  await ledger.runs.start({ run_id })
  const { decision_id } = await ledger.runs.authorize({ run_id, action: action(run_id) })
  putPolicy(root, open)
  await ledger.policy.reload({ actor: operator })
  const failed = { run_id, decision_id, outcome: 'failure' as const }
  assert.is(await codeOf(ledger.runs.record({ ...failed, outcome_reason: 'the client said no' })), 'FREE_TEXT_DENIED')
  assert.is(await codeOf(ledger.runs.record({ ...failed, output_artifacts: [page] })), 'OUTPUTS_DENIED')
  await ledger.runs.record(failed)
  assert.is(await codeOf(ledger.runs.complete({ run_id, outcome_reason: 'all is done' })), 'FREE_TEXT_DENIED')
})

at('a decision under drift lists the rules of the pinned policy, not of the later one', async (ledger, root) => {
  const { run_id } = await ledger.runs.create(facts)
  await ledger.runs.start({ run_id })
  putPolicy(root, { lanes: [lane('TOOLS', { requires: ['case_id'] })], roles })
  await ledger.policy.reload({ actor: operator })
  const { decision, rule_ids } = await ledger.runs.authorize({ run_id, action: action(run_id) })
  assert.equal([decision, rule_ids], ['deny', ['policy_drift']])
})

test('the policy of a run is found in a later process, several policies on', async () => {
  const root = temporaryRoot()
  putPolicy(root, open)
  const ledger = await openLedger({ actor: testActor, create: true, dir: root, self_check: true })
  const { run_id } = await ledger.runs.create(facts)
  await ledger.runs.start({ run_id })
  for (const policy of [closed, { ...closed, roles: [...roles, role('OTHER', [])] }]) {
    putPolicy(root, policy)
    await ledger.policy.reload({ actor: operator })
  }
  await ledger.close()
  const later = await openLedger({ actor: testActor, dir: root, self_check: true })
  try {
    await later.runs.fail({ run_id, error, outcome_reason: 'the page was not found', output_artifacts: [page] })
  } finally {
    await later.close()
    await endsWithVerify(root)
  }
})

test.run()
