import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { perform } from '../../src/nouns/runs/performing.ts'
import { sanitized } from '../core/questions.ts'
import { gatedBy, lane, role } from '../support/gated.ts'
import { codeOf } from '../support/governed-runs.ts'

const test = suite('raw text')

const writes = [{ mode: 'append', table: 'shared_playbooks' }]
const lanes = [
  lane('QUIET', { partial_outputs: true, prohibits: ['raw_case_text'], tools: ['read.page'] }),
  lane('FREE', { tools: ['read.page'] }),
  lane('PROMOTE', { allows: ['shared_knowledge_write'], requires: ['promotion_ticket_id', 'run_id'], writes }),
  lane('SHARE', { writes }),
]
const at = gatedBy(test, { lanes, roles: [role('GOVERNANCE_AGENT', ['QUIET', 'FREE', 'PROMOTE', 'SHARE'])] })

const text = 'Ms Doe said she did it'
const rule = 'lane:QUIET/prohibits/raw_case_text'
const error = { error_code: 'E1', message: 'broke', retryable: true }
const of = (lane_id = 'QUIET') => ({ lane_id, role_id: 'GOVERNANCE_AGENT', run_kind: 'tool_gateway' as const })

async function running(ledger: LocalLedger): Promise<string> {
  const { run_id } = await ledger.runs.create(of())
  await ledger.runs.start({ run_id })
  return run_id
}

/** No entry has the text, in any form. */
async function assertNowhere(ledger: LocalLedger): Promise<void> {
  for await (const entry of ledger.log.read({ from: 0 })) assert.not(JSON.stringify(entry).includes('Doe'), entry.type)
}

const artifacts = [
  sanitized({ artifact_id: text }),
  sanitized({ artifact_kind: text }),
  sanitized({ content_type: text }),
  sanitized({ storage_locator: text }),
  sanitized({ lineage: { derived_from: [text] } }),
  sanitized({ lineage: { derived_from: [], transformation: text } }),
  sanitized({ confidentiality: { ...sanitized().confidentiality, notes: text } }),
]

const stated = [
  { run_name: text },
  { tags: ['fine', text] },
  { matter_id: text },
  { workflow_id: text },
  { workflow_state: text },
  { correlation_id: text },
  { client_session_id: text },
  { case_id: text },
  { notes: text },
  { tool_versions: [{ key: 'tool', value: text }] },
  { nondeterminism: { is_nondeterministic: true, reasons: [text] } },
  ...artifacts.map((artifact) => ({ inputs: { artifact_refs: [artifact] } })),
]
for (const facts of stated) {
  at(`a run that is created with text in its lane is denied: ${Object.keys(facts)}`, async (ledger) => {
    const run_id = 'run_quiet1'
    assert.is(await codeOf(ledger.runs.create({ ...of(), ...facts, run_id })), 'RUN_DENIED')
    const { denied } = await ledger.runs.why({ run_id })
    assert.equal([(await ledger.runs.get({ run_id })).status, denied?.rule_ids], ['denied', [rule]])
    await assertNowhere(ledger)
    assert.is((await ledger.runs.create({ ...of('FREE'), ...facts })).status, 'created')
  })
}

at('a run cannot have text as its run_id', async (ledger) => {
  assert.is(await codeOf(ledger.runs.create({ ...of(), run_id: text })), 'FREE_TEXT_DENIED')
  await assertNowhere(ledger)
})

const action = (run_id: string) => ({
  action_type: 'tool_call' as const,
  lane_id: 'QUIET',
  scope: { run_id },
  target: { name: 'read.page' },
})
const acts = [
  { scope: { reason: text } },
  { target: { name: text } },
  { target: { name: 'read.page', mode: text } },
  { lane_id: text },
  ...artifacts.map((artifact) => ({ artifacts: [artifact] })),
]
for (const [index, change] of acts.entries()) {
  at(`an action with text in its lane denies the run, and the text is not recorded: ${index}`, async (ledger) => {
    const run_id = await running(ledger)
    const asked = { run_id, action: { ...action(run_id), ...change } }
    assert.equal((await ledger.policy.explain(asked)).rule_ids, [rule])
    const { decision, rule_ids } = await ledger.runs.authorize(asked)
    assert.equal([decision, rule_ids, (await ledger.runs.get({ run_id })).status], ['deny', [rule], 'denied'])
    await assertNowhere(ledger)
  })
}

const calls: Record<string, (ledger: LocalLedger, run_id: string, decision_id: string) => Promise<unknown>> = {
  record: ({ runs }, run_id, decision_id) =>
    runs.record({ run_id, decision_id, outcome: 'success', outcome_reason: text }),
  'record of an error': ({ runs }, run_id, decision_id) =>
    runs.record({ run_id, decision_id, error: { ...error, error_code: text }, outcome: 'failure' }),
  'record of an artifact': ({ runs }, run_id, decision_id) =>
    runs.record({ run_id, decision_id, outcome: 'success', output_artifacts: [sanitized({ artifact_id: text })] }),
  complete: ({ runs }, run_id) => runs.complete({ run_id, outcome_reason: text }),
  'complete with an artifact': ({ runs }, run_id) =>
    runs.complete({ run_id, outcome_reason: 'done', output_artifacts: [sanitized({ content_type: text })] }),
  fail: ({ runs }, run_id) => runs.fail({ run_id, error: { ...error, message: text }, outcome_reason: 'broke' }),
  'fail with a code': ({ runs }, run_id) =>
    runs.fail({ run_id, error: { ...error, error_code: text }, outcome_reason: 'broke' }),
  deny: ({ runs }, run_id) => runs.deny({ run_id, outcome_reason: text }),
  cancel: ({ runs }, run_id) => runs.cancel({ run_id, outcome_reason: text }),
  'audit append': ({ audit }, run_id) =>
    audit.append({ events: [{ action_type: 'system', notes: text, outcome: 'success', run_id }] }),
}
for (const [what, call] of Object.entries(calls)) {
  at(`${what} with text is refused and recorded, and the run goes on`, async (ledger) => {
    const run_id = await running(ledger)
    const { decision_id } = await ledger.runs.authorize({ run_id, action: action(run_id) })
    assert.is(await codeOf(call(ledger, run_id, decision_id)), 'FREE_TEXT_DENIED')
    const { events } = await ledger.audit.list({ run_id, outcome: 'deny' })
    assert.equal(
      events.map(({ outcome_reason }) => outcome_reason),
      ['FREE_TEXT_DENIED'],
    )
    await ledger.runs.record({ run_id, decision_id, outcome: 'success' })
    await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    await assertNowhere(ledger)
  })
}

for (const reason of ['one;two', 'ä', 'x'.repeat(81)]) {
  at(`a reason is a single word there, not ${reason.slice(0, 10)}`, async (ledger) => {
    const run_id = await running(ledger)
    assert.is(await codeOf(ledger.runs.cancel({ run_id, outcome_reason: reason })), 'FREE_TEXT_DENIED')
    const asked = { run_id, action: { ...action(run_id), scope: { reason } } }
    assert.equal((await ledger.runs.authorize(asked)).rule_ids, [rule])
  })
}

for (const [lane_id, run_kind] of [
  ['PROMOTE', 'promotion'],
  ['SHARE', 'db_write'],
] as const) {
  const sharing = { lane_id, role_id: 'GOVERNANCE_AGENT', run_kind }
  const action = (run_id: string, reason: string) => ({
    action_type: run_kind,
    artifacts: [sanitized()],
    lane_id,
    scope: { promotion_ticket_id: 'PT-1', reason, run_id },
    target: { mode: 'append', name: 'shared_playbooks' },
  })
  at(`a lane that may write shared knowledge takes no text, whatever it prohibits: ${lane_id}`, async (ledger) => {
    assert.is(await codeOf(ledger.runs.create({ ...sharing, notes: text, run_id: 'run_noted1' })), 'RUN_DENIED')
    assert.equal((await ledger.runs.why({ run_id: 'run_noted1' })).denied?.rule_ids, ['prohibits/raw_case_text'])
    const { run_id } = await ledger.runs.create(sharing)
    await ledger.runs.start({ run_id })
    assert.is(await codeOf(ledger.runs.fail({ run_id, error, outcome_reason: text })), 'FREE_TEXT_DENIED')
    const note = { action_type: 'system', notes: text, outcome: 'success', run_id } as const
    assert.is(await codeOf(ledger.audit.append({ events: [note] })), 'FREE_TEXT_DENIED')
    const { rule_ids } = await ledger.runs.authorize({ action: action(run_id, text), run_id })
    assert.equal(rule_ids, ['prohibits/raw_case_text'])
    await assertNowhere(ledger)
  })
}

at('what a function throws is not recorded where text is prohibited', async (ledger) => {
  const asked = { action: action('run_filled_in'), role_id: 'GOVERNANCE_AGENT', run_id: 'run_quiet1' }
  const work = () => {
    throw new Error(text)
  }
  await perform(ledger, asked, work).then(
    () => assert.unreachable(),
    (thrown: Error) => assert.is(thrown.message, text),
  )
  assert.is((await ledger.runs.get({ run_id: 'run_quiet1' })).status, 'failed')
  await assertNowhere(ledger)
})

const named = { actor_id: 'agent-1', actor_type: 'agent' } as const
const event = (run_id: string) => ({ action_type: 'system' as const, outcome: 'success' as const, run_id })
const turn = (run_id: string) => ({ run_id, turn_id: 'turn-0001' })
type Call = (ledger: LocalLedger, run_id: string) => Promise<unknown>
const repeated: Record<string, Call> = {
  'the correlation of an audit event': ({ audit }, run_id) =>
    audit.append({ correlation_id: text, events: [event(run_id)] }),
  'the request key of an audit event': ({ audit }, run_id) =>
    audit.append({ events: [event(run_id)], idempotency_key: text }),
  'whom the caller acts for': ({ runs }, run_id) =>
    runs.complete({ actor: { ...named, on_behalf_of: text }, outcome_reason: 'done', run_id }),
  'the name of a caller who may not act': ({ runs }, run_id) =>
    runs.complete({ actor: { ...named, actor_id: text }, outcome_reason: 'done', run_id }),
  'the request key of a completion': ({ runs }, run_id) =>
    runs.complete({ idempotency_key: text, outcome_reason: 'done', run_id }),
  'the actor of a new run': ({ runs }) => runs.create({ ...of(), run_actor: { ...named, actor_id: text } }),
  'the request key of a new run': ({ runs }) => runs.create({ ...of(), idempotency_key: text }),
  'the lock of a run': async ({ runs }) => {
    const { run_id } = await runs.create(of())
    await runs.start({ lock: text, run_id })
  },
  'the decision of a promotion': ({ turns }, run_id) => turns.promote({ ...turn(run_id), decision_id: text }),
  'the turn_id of a promotion': ({ turns }, run_id) => turns.promote({ run_id, turn_id: text }),
}
for (const [what, call] of Object.entries(repeated)) {
  at(`text is refused as ${what}, and is in no entry`, async (ledger) => {
    assert.is(await codeOf(call(ledger, await running(ledger))), 'FREE_TEXT_DENIED')
    await assertNowhere(ledger)
  })
}

test.run()
