import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { sanitized } from '../core/questions.ts'
import { gatedBy, lane, role } from '../support/gated.ts'
import { codeOf } from '../support/governed-runs.ts'

const test = suite('outputs of shared knowledge')

const table = 'shared_playbooks'
const writes = [{ table, mode: 'append' }]
const allows = ['shared_knowledge_write' as const]
const requires = ['promotion_ticket_id', 'run_id']
const lanes = [
  lane('PROMOTE', { allows, partial_outputs: true, requires, reads: [table], tools: ['read.page'], writes }),
]
const at = gatedBy(test, { lanes, roles: [role('GOVERNANCE_AGENT', ['PROMOTE'])] })

const shared = sanitized({ scope: 'shared' })
const other = sanitized({ artifact_id: 'another', scope: 'shared' })
const done = { outcome_reason: 'done' }
const error = { error_code: 'E1', message: 'E1', retryable: false }

type Kind = 'agent' | 'db_read' | 'db_write' | 'promotion' | 'tool_gateway'

async function running(ledger: LocalLedger, run_kind: Kind) {
  const { run_id } = await ledger.runs.create({ lane_id: 'PROMOTE', role_id: 'GOVERNANCE_AGENT', run_kind })
  await ledger.runs.start({ run_id })
  return run_id
}

async function allowed(ledger: LocalLedger, run_kind: Exclude<Kind, 'agent'>) {
  const run_id = await running(ledger, run_kind)
  const action = {
    action_type: run_kind === 'tool_gateway' ? ('tool_call' as const) : run_kind,
    artifacts: [sanitized()],
    lane_id: 'PROMOTE',
    scope: { promotion_ticket_id: 'PT-1', run_id },
    target: run_kind === 'tool_gateway' ? { name: 'read.page' } : { name: table, mode: 'append' },
  }
  const { decision_id } = await ledger.runs.authorize({ run_id, action })
  return { decision_id, run_id }
}

/** A run that recorded a successful write of an artifact to shared knowledge. */
async function shares(ledger: LocalLedger, run_kind: 'db_write' | 'promotion') {
  const { decision_id, run_id } = await allowed(ledger, run_kind)
  await ledger.runs.record({ run_id, decision_id, outcome: 'success', output_artifacts: [sanitized()] })
  return run_id
}

const refusals = async ({ audit }: LocalLedger, run_id: string) =>
  (await audit.list({ run_id, outcome: 'deny' })).events.map(({ outcome_reason }) => outcome_reason)

at(
  'a promotion run completes only if a successful promotion is recorded, and the refusal is on record',
  async (ledger) => {
    const { complete, fail, record } = ledger.runs
    const nothing = await running(ledger, 'promotion')
    assert.is(await codeOf(complete({ run_id: nothing, ...done })), 'PROMOTION_NOT_RECORDED')
    const end = { run_id: nothing, ...done, output_artifacts: [shared] }
    assert.is(await codeOf(complete(end)), 'PROMOTION_NOT_RECORDED')
    // An equal refusal is counted.
    assert.equal(await refusals(ledger, nothing), ['PROMOTION_NOT_RECORDED'])
    const { outputs, status } = await ledger.runs.get({ run_id: nothing })
    assert.equal([status, outputs], ['running', undefined])
    const failed = await allowed(ledger, 'promotion')
    await record({ ...failed, outcome: 'failure', output_artifacts: [shared] })
    assert.is(await codeOf(complete({ run_id: failed.run_id, ...done })), 'PROMOTION_NOT_RECORDED')
    assert.is((await fail({ run_id: failed.run_id, ...done, error })).status, 'failed')
    assert.is((await complete({ run_id: await shares(ledger, 'promotion'), ...done })).status, 'completed')
  },
)

for (const kind of ['agent', 'db_read', 'db_write', 'promotion', 'tool_gateway'] as const) {
  at(`no end of a run of kind ${kind} puts out shared knowledge that no write put out`, async (ledger) => {
    const { complete, fail, get } = ledger.runs
    const end = { ...done, run_id: await running(ledger, kind), output_artifacts: [shared] }
    assert.is(await codeOf(complete(end)), 'PROMOTION_NOT_RECORDED')
    assert.is(await codeOf(fail({ ...end, error })), 'PROMOTION_NOT_RECORDED')
    assert.is((await get({ run_id: end.run_id })).outputs, undefined)
  })
}

for (const kind of ['db_write', 'promotion'] as const) {
  at(`what a ${kind} wrote to shared knowledge is put out again at the end, and nothing else is`, async (ledger) => {
    const end = { ...done, run_id: await shares(ledger, kind) }
    const { complete } = ledger.runs
    assert.is(await codeOf(complete({ ...end, output_artifacts: [shared, other] })), 'PROMOTION_NOT_RECORDED')
    const changed = { ...shared, hash_sha256: 'b'.repeat(64) }
    assert.is(await codeOf(complete({ ...end, output_artifacts: [changed] })), 'PROMOTION_NOT_RECORDED')
    assert.is((await complete({ ...end, output_artifacts: [shared] })).outputs?.artifact_refs.length, 2)
  })
}

for (const kind of ['db_read', 'tool_gateway'] as const) {
  at(`an action of a run of kind ${kind} puts out no shared knowledge`, async (ledger) => {
    const act = { ...(await allowed(ledger, kind)), outcome: 'success' as const }
    const record = ledger.runs.record({ ...act, output_artifacts: [shared] })
    assert.is(await codeOf(record), 'PROMOTION_NOT_RECORDED')
    await ledger.runs.record({ ...act, output_artifacts: [sanitized()] })
  })
}

at('a statement puts out no shared knowledge that its run did not write', async (ledger) => {
  const { append } = ledger.audit
  const said = { action_type: 'system' as const, outcome: 'success' as const, output_artifacts: [shared] }
  assert.is(await codeOf(append({ events: [said] })), 'STATEMENT_DENIED')
  const { run_id, decision_id } = await allowed(ledger, 'promotion')
  const inRun = { ...said, run_id }
  assert.is(await codeOf(append({ events: [inRun] })), 'PROMOTION_NOT_RECORDED')
  const promoted = { ...inRun, action_type: 'promotion' as const, decision_id }
  assert.is(await codeOf(append({ events: [inRun, promoted] })), 'PROMOTION_NOT_RECORDED')
  await append({ events: [promoted, inRun] })
  await append({ events: [inRun] })
  assert.is((await ledger.runs.complete({ run_id, ...done })).status, 'completed')
})

const unfit = {
  'raw case text': sanitized({ artifact_kind: 'raw_case_text' }),
  'privileged notes': sanitized({ confidentiality: { ...sanitized().confidentiality, contains_privileged: true } }),
  'an identity': sanitized({ confidentiality: { ...sanitized().confidentiality, contains_pii: true } }),
}
for (const [what, artifact] of Object.entries(unfit)) {
  for (const member of ['input_artifacts', 'output_artifacts'] as const) {
    at(`a statement with ${what} as ${member} in a promotion lane denies the run`, async (ledger) => {
      const run_id = await running(ledger, 'promotion')
      const note = { action_type: 'system', outcome: 'success', run_id } as const
      const append = ledger.audit.append({ events: [note, { ...note, [member]: [artifact] }] })
      assert.is(await codeOf(append), 'RUN_DENIED')
      assert.is((await ledger.runs.get({ run_id })).status, 'denied')
      const { events } = await ledger.audit.list({ run_id, action_type: 'system', outcome: 'success' })
      assert.equal(
        events.filter(({ stated }) => stated),
        [],
      )
    })
  }
}

test.run()
