import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { bundlesIn, codeOf, governed, lawyer, scope } from '../support/exports.ts'

const approvals = suite('approvals of exports')
const of = bundlesIn(approvals)
const required = { exports: { approvals_required: ['attorney_admin', 'compliance'] } }
const select = { run_id: 'run_top_1' }
const ana = { actor_id: 'ana', actor_type: 'human' } as const

of(
  'an approval is looked up in the decision: an invented one is denied',
  async ({ ledger }) => {
    const run = { actor: lawyer, run_id: 'run_hand_1' }
    await ledger.runs.create({
      ...run,
      case_id: 'CASE-17',
      lane_id: governed.lane_id,
      role_id: governed.role_id,
      run_kind: 'export',
    })
    await ledger.runs.start(run)
    const claimed = {
      ...scope,
      run_id: run.run_id,
      approval_attorney_admin: 'evt_fake',
      approval_compliance: 'evt_fake',
    }
    const action = {
      action_type: 'export' as const,
      lane_id: governed.lane_id,
      scope: claimed,
      target: { name: 'export_bundle.create' },
    }
    assert.is((await ledger.runs.authorize({ ...run, action })).decision, 'deny')
  },
  required,
)
of(
  'the approvers of different types are distinct humans, and an approval is used once',
  async ({ create, ledger }) => {
    const a = (await ledger.exports.approve({ actor: ana, approval_type: 'attorney_admin', select })).event_id
    const b = (await ledger.exports.approve({ actor: ana, approval_type: 'compliance', select })).event_id
    assert.is(await codeOf(create(select, { approvals: [a, b] })), 'RUN_DENIED')
  },
  required,
)
of(
  'an unlisted human may not approve a bound role',
  async ({ ledger }) => {
    assert.is(
      await codeOf(
        ledger.exports.approve({
          actor: { actor_id: 'zed', actor_type: 'human' },
          approval_type: 'attorney_admin',
          select,
        }),
      ),
      'APPROVAL_DENIED',
    )
  },
  { ...required, actors: { 'lawyer-1': ['ATTORNEY_ADMIN'], ana: ['ATTORNEY_ADMIN'], 'agent-1': ['INTERVIEW_AGENT'] } },
)
of('an export run completes only with the bundle that the export itself recorded', async ({ ledger }) => {
  const run = { actor: lawyer, run_id: 'run_hand_1' }
  await ledger.runs.create({
    ...run,
    case_id: 'CASE-17',
    lane_id: governed.lane_id,
    role_id: governed.role_id,
    run_kind: 'export',
  })
  await ledger.runs.start(run)
  const output = { artifact_id: 'bnd_invented', artifact_kind: 'export_bundle', hash_sha256: 'a'.repeat(64) }
  assert.is(
    await codeOf(ledger.runs.complete({ ...run, outcome_reason: 'done', output_artifacts: [output] })),
    'BUNDLE_NOT_RECORDED',
  )
})
approvals.run()
