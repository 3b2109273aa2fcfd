import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Action } from '../../src/domain/policy/action.ts'
import type { ArtifactRef } from '../../src/kernel/artifact-ref.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { perform } from '../../src/nouns/runs/performing.ts'
import { sanitized } from '../core/questions.ts'
import { gatedBy, lane, role } from '../support/gated.ts'
import { codeOf } from '../support/governed-runs.ts'
import { newest } from '../support/newest.ts'

const test = suite('promotion gate')

const shared = 'shared_playbooks'
const writes = [{ table: shared, mode: 'append' }]
const allows = ['shared_knowledge_write' as const]
/** The lanes prohibit nothing themselves, so that only the floor of the contract holds. */
const lanes = [
  lane('PROMOTE', { allows, requires: ['promotion_ticket_id', 'run_id'], writes, reads: [shared] }),
  lane('NOTES', { tools: ['read.page'], writes: [{ table: 'notes', mode: 'append' }], prohibits: ['client_identity'] }),
  lane('STRICT', { tools: ['read.page'], prohibits: ['external_export', 'privileged_notes', 'raw_case_text'] }),
]
const at = gatedBy(test, { lanes, roles: [role('GOVERNANCE_AGENT', ['PROMOTE', 'NOTES', 'STRICT'])] })

async function running(ledger: LocalLedger, lane_id: string, run_kind: 'agent' | 'db_write' | 'promotion' | 'db_read') {
  const { run_id } = await ledger.runs.create({ case_id: 'CASE-17', lane_id, role_id: 'GOVERNANCE_AGENT', run_kind })
  await ledger.runs.start({ run_id })
  return run_id
}

const onShared = (run_id: string, action_type: Action['action_type'], artifacts?: ArtifactRef[]) => ({
  run_id,
  action: {
    action_type,
    artifacts,
    lane_id: 'PROMOTE',
    scope: { promotion_ticket_id: 'PT-1', run_id },
    target: { name: shared, mode: 'append' },
  },
})

const marked = (mark: object) => sanitized({ confidentiality: { ...sanitized().confidentiality, ...mark } })
const unfit: [what: string, artifact: ArtifactRef, rule: string][] = [
  ['raw case text', sanitized({ artifact_kind: 'raw_case_text' }), 'prohibits/raw_case_text'],
  ['raw case text, written otherwise', sanitized({ artifact_kind: 'Raw-Case-Text' }), 'prohibits/raw_case_text'],
  ['privileged notes', marked({ contains_privileged: true }), 'prohibits/privileged_notes'],
  ['an identity', marked({ contains_pii: true }), 'prohibits/client_identity'],
  ['data on health', marked({ contains_phi: true }), 'prohibits/client_identity'],
  ['no mark', sanitized({ confidentiality: null }), 'prohibits/privileged_notes'],
  ['a case', sanitized({ case_id: 'CASE-17' }), 'prohibits/client_identity'],
]

for (const kind of ['db_write', 'promotion'] as const) {
  for (const [what, artifact, rule] of unfit) {
    at(`a ${kind} to shared knowledge with ${what} is denied, whatever the lane states`, async (ledger) => {
      const run_id = await running(ledger, 'PROMOTE', kind)
      const { decision, rule_ids } = await ledger.runs.authorize(onShared(run_id, kind, [sanitized(), artifact]))
      assert.equal([decision, rule_ids.includes(rule)], ['deny', true], `${rule_ids}`)
    })

    at(`the outputs of a ${kind} to shared knowledge with ${what} deny the run, on record`, async (ledger) => {
      const run_id = await running(ledger, 'PROMOTE', kind)
      const { decision_id } = await ledger.runs.authorize(onShared(run_id, kind, [sanitized()]))
      const record = ledger.runs.record({ run_id, decision_id, outcome: 'success', output_artifacts: [artifact] })
      assert.is(await codeOf(record), 'RUN_DENIED')
      const { outputs, status } = await ledger.runs.get({ run_id })
      assert.equal([status, outputs], ['denied', undefined])
      const { events } = await ledger.audit.list({ run_id, outcome: 'deny' })
      assert.ok(events.some(({ authz }) => authz?.rule_id !== undefined))
      assert.ok((await ledger.runs.why({ run_id })).denied?.rule_ids.includes(rule))
    })
  }

  at(`a ${kind} to shared knowledge names at least one sanitized artifact`, async (ledger) => {
    for (const none of [undefined, []]) {
      const run_id = await running(ledger, 'PROMOTE', kind)
      const { decision, missing, rule_ids } = await ledger.runs.authorize(onShared(run_id, kind, none))
      assert.equal([decision, missing], ['deny', ['artifacts']])
      assert.equal(rule_ids, ['shared_knowledge/sanitized_artifact'])
    }
  })

  at(`a ${kind} of sanitized artifacts is allowed, and its audit event refers to them`, async (ledger) => {
    const run_id = await running(ledger, 'PROMOTE', kind)
    const { decision_id } = await ledger.runs.authorize(onShared(run_id, kind, [sanitized()]))
    const success = { run_id, decision_id, outcome: 'success' as const }
    assert.is(await codeOf(ledger.runs.record(success)), 'INVALID_INPUT')
    const { data, type } = await newest(ledger)
    assert.equal([type, data.code], ['run.refused', 'INVALID_INPUT'])
    await ledger.runs.record({ ...success, output_artifacts: [sanitized()] })
    await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    const { events } = await ledger.audit.list({ run_id, action_type: kind })
    assert.is(events[0]?.output_artifacts?.[0]?.artifact_id, sanitized().artifact_id)
  })
}

at('what is recorded as written to shared knowledge is what the allow named, by id and hash', async (ledger) => {
  for (const kind of ['db_write', 'promotion'] as const) {
    const run_id = await running(ledger, 'PROMOTE', kind)
    const { decision_id } = await ledger.runs.authorize(onShared(run_id, kind, [sanitized()]))
    const success = { run_id, decision_id, outcome: 'success' as const }
    const others = [sanitized({ artifact_id: 'playbook-b' }), sanitized({ hash_sha256: 'cd'.repeat(32) })]
    for (const other of others) {
      const record = ledger.runs.record({ ...success, output_artifacts: [sanitized(), other] })
      assert.is(await codeOf(record), 'OUTPUTS_DENIED')
    }
    assert.equal((await ledger.runs.get({ run_id })).status, 'running')
    await ledger.runs.record({ ...success, output_artifacts: [sanitized()] })
    // An allow for one action names nothing for another.
    const next = await ledger.runs.authorize(onShared(run_id, kind, [others[0] as never]))
    const again = { run_id, decision_id: next.decision_id, outcome: 'success' as const }
    assert.is(await codeOf(ledger.runs.record({ ...again, output_artifacts: [sanitized()] })), 'OUTPUTS_DENIED')
    await ledger.runs.record({ ...again, output_artifacts: others.slice(0, 1) })
    await ledger.runs.complete({ run_id, outcome_reason: 'done' })
  }
})

at('a function that promotes is recorded with the artifacts that were authorized', async (ledger) => {
  const { action } = onShared('run_filled_in', 'promotion', [sanitized()])
  const { run } = await perform(ledger, { action, role_id: 'GOVERNANCE_AGENT' }, () => 'promoted')
  assert.is(run.outputs?.artifact_refs.length, 1)
})

at('the prohibitions of shared knowledge hold for a read of it', async (ledger) => {
  const run_id = await running(ledger, 'PROMOTE', 'db_read')
  const raw = sanitized({ artifact_kind: 'raw_case_text' })
  const { rule_ids } = await ledger.runs.authorize(onShared(run_id, 'db_read', [raw]))
  assert.equal(rule_ids, ['prohibits/raw_case_text'])
  const other = await running(ledger, 'PROMOTE', 'db_read')
  assert.is((await ledger.runs.authorize(onShared(other, 'db_read'))).decision, 'allow')
})

at('what a run in a promotion lane outputs at its end is sanitized', async (ledger) => {
  const run_id = await running(ledger, 'PROMOTE', 'promotion')
  const end = { run_id, outcome_reason: 'done', output_artifacts: [sanitized({ case_id: 'CASE-17' })] }
  assert.is(await codeOf(ledger.runs.complete(end)), 'RUN_DENIED')
  assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, ['prohibits/client_identity'])
})

at('an output with the scope shared needs a promotion lane', async (ledger) => {
  const run_id = await running(ledger, 'NOTES', 'db_write')
  const end = { run_id, outcome_reason: 'done', output_artifacts: [sanitized({ scope: 'shared' })] }
  assert.is(await codeOf(ledger.runs.complete(end)), 'RUN_DENIED')
  assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, ['prohibits/shared_knowledge_write'])
})

at('effects are derived from inputs, artifacts and outputs of any action', async (ledger) => {
  const identity = marked({ contains_pii: true })
  const notes = { lane_id: 'NOTES', role_id: 'GOVERNANCE_AGENT', run_kind: 'db_write', run_id: 'run_notes1' } as const
  assert.is(await codeOf(ledger.runs.create({ ...notes, inputs: { artifact_refs: [identity] } })), 'RUN_DENIED')
  const rule = ['lane:NOTES/prohibits/client_identity']
  assert.equal((await ledger.runs.why({ run_id: notes.run_id })).denied?.rule_ids, rule)
  const run_id = await running(ledger, 'NOTES', 'db_write')
  const action = { action_type: 'db_write', lane_id: 'NOTES', scope: {}, target: writesOf('notes') } as const
  const { decision_id } = await ledger.runs.authorize({ run_id, action })
  const done = { run_id, decision_id, outcome: 'success' as const, output_artifacts: [identity] }
  assert.is(await codeOf(ledger.runs.record(done)), 'RUN_DENIED')
  const other = await running(ledger, 'NOTES', 'db_write')
  const denied = await ledger.runs.authorize({ run_id: other, action: { ...action, artifacts: [identity] } })
  assert.equal(denied.rule_ids, rule)
})

at('an output at an external place is an external export', async (ledger) => {
  const run_id = await running(ledger, 'STRICT', 'agent')
  const outside = sanitized({ storage_locator: 'https://host.example/x' })
  assert.is(
    await codeOf(ledger.runs.complete({ run_id, outcome_reason: 'done', output_artifacts: [outside] })),
    'RUN_DENIED',
  )
  assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, ['lane:STRICT/prohibits/external_export'])
})

at('an event of an action with prohibited outputs denies the run, and nothing else is appended', async (ledger) => {
  const run_id = await running(ledger, 'PROMOTE', 'promotion')
  const { decision_id } = await ledger.runs.authorize(onShared(run_id, 'promotion', [sanitized()]))
  const { actor_id, actor_type } = { actor_id: 'agent-1', actor_type: 'agent' } as const
  const promotion = { action_type: 'promotion', decision_id, outcome: 'success', run_id } as const
  const note = {
    action_type: 'system',
    outcome: 'success',
    run_id,
  } as const
  const events = [note, { ...promotion, output_artifacts: [sanitized({ artifact_kind: 'raw_case_text' })] }]
  assert.is(await codeOf(ledger.audit.append({ actor: { actor_id, actor_type }, events })), 'RUN_DENIED')
  const types: string[] = []
  for await (const { type } of ledger.log.read({ from: 0 })) types.push(type)
  assert.equal(types.slice(-3), ['run.decided', 'run.acted', 'run.denied'])
})

function writesOf(table: string) {
  return { name: table, mode: 'append' }
}

test.run()
