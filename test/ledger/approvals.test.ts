import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ApproveExport } from '../../src/api/shapes/exports.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { type Desk, human, select, withDesk } from '../support/approvals.ts'
import { entriesOf, lastOf } from '../support/entries.ts'
import { codeOf, governed, lawyer, scope } from '../support/exports.ts'

const approvals = suite('approvals of exports')
const both = { exports: { approvals_required: ['attorney_admin', 'compliance'] } }
const missing = (type: string) => `config:exports/approvals_required/${type}`
const of = (title: string, work: (desk: Desk) => Promise<void>, config: Record<string, unknown> = both) =>
  approvals(title, () => withDesk(config, work))

/** An export run that was started by hand. */
async function byHand({ ledger }: Desk, run_id: string) {
  const { lane_id, role_id } = governed
  const run = { actor: lawyer, run_id }
  await ledger.runs.create({ ...run, case_id: 'CASE-17', lane_id, role_id, run_kind: 'export' })
  await ledger.runs.start(run)
  const action = {
    action_type: 'export' as const,
    lane_id,
    scope: { ...scope, run_id },
    target: { name: 'export_bundle.create' },
  }
  return { action, run }
}

of('an approval is looked up in the decision: nobody can invent one', async (desk) => {
  const { ledger } = desk
  const invented = 'apr_0123456789abcdefghijk'
  assert.equal(await desk.broken([invented]), [
    `approval:${invented}/known`,
    missing('attorney_admin'),
    missing('compliance'),
  ])
  const { action, run } = await byHand(desk, 'run_by_hand_1')
  const claimed = { ...action.scope, approval_attorney_admin: 'evt_fake', approval_compliance: 'evt_fake' }
  const decided = await ledger.runs.authorize({ ...run, action: { ...action, scope: claimed } })
  assert.equal(decided.rule_ids, [
    'scope/approval_attorney_admin',
    'scope/approval_compliance',
    missing('attorney_admin'),
    missing('compliance'),
  ])
  assert.is((await ledger.runs.get({ run_id: run.run_id })).status, 'denied')
  // An audit event that says so is no approval either.
  const target = { name: 'run:run_top_1', operation: 'approve:compliance', target_type: 'export_bundle' as const }
  const event = { action_type: 'system' as const, outcome: 'success' as const, target }
  const [appended] = (await ledger.audit.append({ actor: human('ana'), events: [event] })).events
  assert.is(await codeOf(desk.export([appended?.event_id ?? ''])), 'INVALID_INPUT')
})

of('an approval binds kind, selection, size and redaction', async (desk) => {
  const redaction = { redaction_applied: true, redaction_profile_id: 'court-1' }
  const bound = { bundle_kind: 'discovery_production' as const, redaction, size: 5 }
  const one = await desk.approve('ana', 'attorney_admin', bound)
  const two = await desk.approve('ben', 'compliance', bound)
  const others: [string, object][] = [
    ['bundle_kind', { bundle_kind: 'internal_review' }],
    ['select', { select: { case_id: 'CASE-17' } }],
    ['size', { size: 4 }],
    ['redaction', { redaction: { ...redaction, redaction_profile_id: 'court-2' } }],
    ['redaction', { redaction: { redaction_applied: false } }],
    ['redaction', { redaction: undefined }],
  ]
  for (const [rule, other] of others) {
    const rules = await desk.broken([one, two], { ...bound, ...other })
    assert.equal(rules, [`approval:${one}/${rule}`, `approval:${two}/${rule}`], JSON.stringify(other))
  }
  const { bundle } = await desk.export([one, two], { bundle_kind: bound.bundle_kind, redaction })
  assert.is(bundle.contents.filters?.find(({ key }) => key === 'size')?.value, '5', 'the size that they bind')
})

of('an approval is used once, and not by a denied export', async (desk) => {
  const size = { size: 5 }
  const named = [await desk.approve('ana', 'attorney_admin', size), await desk.approve('ben', 'compliance', size)]
  const [one = '', two = ''] = named
  await desk.broken([one], size)
  const both = await Promise.allSettled([desk.export(named), desk.export(named)])
  const exported = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const denied = both.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  assert.equal(
    [exported.length, denied.map(({ code }) => code)],
    [1, ['RUN_DENIED']],
    'of two exports at once, one is denied',
  )
  assert.equal(await desk.broken(named), [`approval:${one}/unused`, `approval:${two}/unused`])
  const uses = (await entriesOf(desk.ledger)).filter(({ type }) => type === 'approval.used')
  assert.equal(
    uses.map(({ data, run_id }) => [data.approval_id, run_id]),
    [
      [one, exported[0]?.run_id],
      [two, exported[0]?.run_id],
    ],
  )
})

of('an approval expires by the clock of the ledger, which never goes back', async (desk) => {
  const expiring = { expires_in_s: 60, size: 5 }
  const fresh = [
    await desk.approve('ana', 'attorney_admin', expiring),
    await desk.approve('ben', 'compliance', expiring),
  ]
  const late = [await desk.approve('ana', 'attorney_admin', expiring)]
  desk.clock.advance(59_999)
  await desk.export(fresh)
  desk.clock.advance(1)
  assert.equal(await desk.broken([late[0] ?? '', await desk.approve('ben', 'compliance', { size: 5 })]), [
    `approval:${late[0]}/unexpired`,
  ])
  desk.clock.advance(-60_000)
  assert.equal(await desk.broken([late[0] ?? '', await desk.approve('ben', 'compliance', { size: 5 })]), [
    `approval:${late[0]}/unexpired`,
  ])
})

of('approvals of different types come from distinct humans', async (desk) => {
  const one = await desk.approve('ana', 'attorney_admin', { size: 5 })
  const two = await desk.approve('ana', 'compliance', { size: 5 })
  const proxy = await desk.approve('ben', 'compliance', { actor: { ...human('ben'), on_behalf_of: 'ana' }, size: 5 })
  for (const other of [two, proxy]) {
    assert.equal(await desk.broken([one, other]), [`approval:${one}/distinct`, `approval:${other}/distinct`])
  }
  assert.equal(await desk.broken([one, one]), [
    `approval:${one}/distinct`,
    `approval:${one}/distinct`,
    missing('compliance'),
  ])
})

of('persons are compared without letter case and without forms of letters', async (desk) => {
  const one = await desk.approve('ana', 'attorney_admin', { size: 5 })
  for (const again of ['Ana', 'ＡＮＡ', 'ana\u200b']) {
    const two = await desk.approve(again, 'compliance', { size: 5 })
    assert.equal(await desk.broken([one, two]), [`approval:${one}/distinct`, `approval:${two}/distinct`], again)
  }
  const proxy = await desk.approve('ben', 'compliance', { actor: { ...human('ben'), on_behalf_of: 'ANA' }, size: 5 })
  assert.equal(await desk.broken([one, proxy]), [`approval:${one}/distinct`, `approval:${proxy}/distinct`])
  const own = await desk.approve(lawyer.actor_id.toUpperCase(), 'compliance', { size: 5 })
  assert.equal(await desk.broken([one, own]), [`approval:${own}/not_self`])
  await desk.export([one, await desk.approve('anna', 'compliance', { size: 5 })])
})

of('self-approval is a recorded deny with a rule of its own', async (desk) => {
  const other = await desk.approve('ana', 'compliance', { size: 5 })
  const own = await desk.approve(lawyer.actor_id, 'attorney_admin', { size: 5 })
  const proxy = await desk.approve('ben', 'attorney_admin', {
    actor: { ...human('ben'), on_behalf_of: lawyer.actor_id },
    size: 5,
  })
  for (const self of [own, proxy]) {
    assert.equal(await desk.broken([self, other]), [`approval:${self}/not_self`])
    const { data } = await lastOf(desk.ledger, 'run.decided')
    assert.equal([data.decision, data.reason, data.rule_ids], ['deny', 'not_permitted', [`approval:${self}/not_self`]])
  }
  // The actor of the run exports too, whoever makes the call.
  const { action, run } = await byHand(desk, 'run_by_hand_1')
  const bundle = { approvals: [own, other], bundle_kind: 'internal_review' as const, select, size: 5 }
  const asked = { run_id: run.run_id, action: { ...action, bundle } }
  const decided = await desk.ledger.runs.authorize({ ...asked, actor: { actor_id: 'BECCA', actor_type: 'human' } })
  assert.equal(decided.rule_ids, [`approval:${own}/not_self`])
})

of(
  'an approver holds the role that the type demands, when approving and when the approval is used',
  async ({ approve, broken, export: create, ledger }) => {
    const refused = async (by: ApproveExport['actor'], type: ApproveExport['approval_type'], rule: string) => {
      const call = ledger.exports.approve({ actor: by, approval_type: type, select })
      assert.is(await codeOf(call), 'APPROVAL_DENIED')
      const [event] = (await ledger.audit.list({ actor_id: by?.actor_id, outcome: 'deny' })).events.slice(-1)
      assert.equal([event?.outcome_reason, event?.authz?.rule_id], [rule, rule])
    }
    await refused(human('unlisted'), 'attorney_admin', 'role:ATTORNEY_ADMIN/actors')
    await refused(human('cleo'), 'attorney_admin', 'role:ATTORNEY_ADMIN/actors')
    await refused({ actor_id: 'agent-1', actor_type: 'agent' }, 'compliance', 'approval/human')
    await refused({ ...human('otto'), role_id: 'ATTORNEY_ADMIN' }, 'compliance', 'role:COMPLIANCE/actors')
    const named = [
      await approve('otto', 'attorney_admin', { size: 5 }),
      await approve('cleo', 'compliance', { size: 5 }),
    ]
    const given = (await entriesOf(ledger)).filter(({ type }) => type === 'approval.given')
    assert.equal(
      given.map(({ actor }) => actor.role_id),
      ['ATTORNEY_ADMIN', 'COMPLIANCE'],
    )
    assert.equal(await broken([named[1] ?? '']), [missing('attorney_admin')])
    await create(named)
  },
  {
    ...both,
    actors: { cleo: ['COMPLIANCE'], [lawyer.actor_id]: ['ATTORNEY_ADMIN'], otto: ['ATTORNEY_ADMIN', 'INTAKE_AGENT'] },
  },
)

of(
  'an approval that nobody demands is judged all the same',
  async ({ approve, broken, export: create }) => {
    const one = await approve('ana', 'compliance', { size: 5 })
    assert.equal(await broken([one], { size: 4 }), [`approval:${one}/size`])
    assert.is((await create([one])).bundle.approvals?.length, 1)
    assert.is((await create([])).bundle.approvals, undefined)
  },
  {},
)

of('an action that hands out a bundle in another way needs the same approvals', async ({ ledger }) => {
  const { lane_id, role_id } = governed
  const asked = [
    ['tool_gateway', 'tool_call', { name: 'export_bundle.create' }],
    ['tool_gateway', 'tool_call', { name: 'export_bundle.download' }],
    ['db_write', 'db_write', { mode: 'append' as const, name: 'export_bundles' }],
  ] as const
  for (const [at, [run_kind, action_type, target]] of asked.entries()) {
    const run = { actor: lawyer, run_id: `run_tool_${at}` }
    await ledger.runs.create({ ...run, case_id: 'CASE-17', lane_id, role_id, run_kind })
    await ledger.runs.start(run)
    const action = { action_type, lane_id, scope: { ...scope, run_id: run.run_id }, target }
    const { rule_ids } = await ledger.runs.authorize({ ...run, action })
    assert.equal(rule_ids, [missing('attorney_admin'), missing('compliance')], target.name)
  }
})

of(
  'an export run completes only with the bundle that the export itself recorded',
  async (desk) => {
    const { runs } = desk.ledger
    const hash_sha256 = 'a'.repeat(64)
    const invented = { artifact_id: 'bnd_invented', artifact_kind: 'export_bundle', hash_sha256 }
    const { action, run } = await byHand(desk, 'run_by_hand_1')
    const ending = { ...run, outcome_reason: 'done' }
    assert.is(await codeOf(runs.complete({ ...ending, output_artifacts: [invented] })), 'BUNDLE_NOT_RECORDED')
    assert.is(await codeOf(runs.complete(ending)), 'BUNDLE_NOT_RECORDED')
    const { decision_id } = await runs.authorize({ ...run, action })
    const acted = { ...run, decision_id, outcome: 'success' as const, response_hash_sha256: hash_sha256 }
    assert.is(await codeOf(runs.record({ ...acted, output_artifacts: [invented] })), 'BUNDLE_NOT_RECORDED')
    assert.is(await codeOf(runs.record(acted)), 'BUNDLE_NOT_RECORDED')
    const event = { action_type: 'export' as const, decision_id, outcome: 'success' as const, run_id: run.run_id }
    assert.is(await codeOf(desk.ledger.audit.append({ actor: lawyer, events: [event] })), 'BUNDLE_NOT_RECORDED')
    const { data } = await lastOf(desk.ledger, 'run.refused')
    assert.equal([data.code, data.name], ['BUNDLE_NOT_RECORDED', run.run_id])
    await runs.record({ ...acted, outcome: 'failure' })
    // The bundle of another run is not of this run, and no run of another kind exports.
    const { bundle, run_id } = await desk.export([])
    const output_artifacts = (await runs.get({ run_id })).outputs?.artifact_refs ?? []
    assert.is(output_artifacts[0]?.artifact_id, bundle.bundle_id)
    assert.is(await codeOf(runs.complete({ ...ending, output_artifacts })), 'BUNDLE_NOT_RECORDED')
    const agent = { run_id: 'run_agent_1' }
    await runs.create({ ...agent, run_kind: 'orchestrator' })
    await runs.start(agent)
    const kinds = ['export_bundle', 'Export_Bundle', 'Export-Bundle', 'ＥxportBundle', 'export_bundle_record']
    for (const artifact_kind of [...kinds, 'export.bundle record']) {
      const outputs = { output_artifacts: [{ ...invented, artifact_kind }] }
      assert.is(await codeOf(runs.complete({ ...agent, outcome_reason: 'done', ...outputs })), 'BUNDLE_NOT_RECORDED')
    }
  },
  {},
)

of('the record and the verification of a bundle name who approved it', async (desk) => {
  const named = [
    await desk.approve('ana', 'attorney_admin', { notes: 'order of 2 May', size: 5 }),
    await desk.approve('ben', 'compliance', { expires_in_s: 60, size: 5 }),
  ]
  const { bundle, file } = await desk.export(named)
  const types = [
    ['attorney_admin', 'ana', 'order of 2 May'],
    ['compliance', 'ben', undefined],
  ]
  assert.equal(
    bundle.approvals?.map(({ approval_type, approved_by, notes }) => [approval_type, approved_by, notes]),
    types,
  )
  const { claimed, proven } = await verifyExport(file, { unauthenticated: true })
  assert.equal(
    proven.approvals.map(({ approval_type, approved_by, notes }) => [approval_type, approved_by, notes]),
    types,
  )
  assert.equal(
    proven.approvals.map(({ approval_id }, at) => [approval_id, claimed.approver_roles[at]?.role_id]),
    [
      [named[0], 'ATTORNEY_ADMIN'],
      [named[1], 'COMPLIANCE'],
    ],
  )
})

approvals.run()
