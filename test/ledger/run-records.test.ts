import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { renderedEvent } from '../../src/domain/rendered-event.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { dictation } from '../core/run/world.ts'
import { entriesOf, typesAppended } from '../support/entries.ts'
import { withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const test = suite('what runs and their events say')
const run_id = 'run_tool1'
const of = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' }
const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: 'ab'.repeat(32) }
const error = { error_code: 'E1', message: 'it broke', retryable: true }

/** A ledger with the shipped policy in force, and a running tool run below an orchestrator. */
function governed(title: string, work: (ledger: LocalLedger, root: string) => Promise<void>): void {
  test(title, () =>
    withLedger(
      async (ledger, root) => {
        await begin(ledger)
        await work(ledger, root).catch(asPlainError)
      },
      { policy: true },
    ),
  )
}

async function begin({ runs }: LocalLedger, top = 'run_top_1', tool = run_id): Promise<void> {
  await runs.create({ case_id: of.case_id, correlation_id: 'request-1', run_id: top, run_kind: 'orchestrator' })
  await runs.start({ run_id: top })
  await runs.create({ ...of, parent_run_id: top, run_id: tool, run_kind: 'tool_gateway' })
  await runs.start({ run_id: tool })
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const thrown = await call.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (thrown !== undefined && !(thrown instanceof LockstepError)) throw thrown
  return thrown?.code ?? 'none'
}

/** Each way to end a running run, and what its end reads as. */
const ends: [
  status: string,
  outcome: string,
  reason: RegExp,
  end: (runs: LocalLedger['runs'], facts: object) => Promise<unknown>,
][] = [
  ['completed', 'success', /^over$/, (runs, facts) => runs.complete({ run_id, outcome_reason: 'over', ...facts })],
  ['failed', 'failure', /^over$/, (runs, facts) => runs.fail({ run_id, outcome_reason: 'over', error, ...facts })],
  ['denied', 'deny', /^over$/, (runs, facts) => runs.deny({ run_id, outcome_reason: 'over', ...facts })],
  [
    'cancelled',
    'failure',
    /^cancelled: over$/,
    (runs, facts) => runs.cancel({ run_id, outcome_reason: 'over', ...facts }),
  ],
]

governed('a target’s name that is longer than an event’s is cut, and never through a character', async (ledger) => {
  const name = `${'x'.repeat(82)}\u{1f600} and what is cut off`
  const decided = await ledger.runs.authorize({ run_id, action: { ...dictation, target: { name } } })
  assert.is(decided.decision, 'deny')
  const [event] = (await ledger.audit.list({ action_type: 'authz_decision', outcome: 'deny' })).events
  assert.is(event?.target?.name, 'x'.repeat(82))
  await begin(ledger, 'run_top_3', 'run_tool3')
  const long = `mcp__${'x'.repeat(115)}`
  await ledger.runs.authorize({ run_id: 'run_tool3', action: { ...dictation, target: { name: long } } })
  const { events: later } = await ledger.audit.list({ run_id: 'run_tool3' })
  assert.ok(
    later.some(({ target }) => target?.name === long),
    'a name that a lane can list is recorded whole',
  )
})

for (const [status, outcome, reason, end] of ends) {
  governed(`a run that is ${status} says so with its reason, and what it owed, in one append`, async (ledger) => {
    const { runs } = ledger
    const { decision_id } = await runs.authorize({ run_id, action: dictation })
    // Otherwise than by completing, an end brings what was never recorded.
    const isOwed = status !== 'completed'
    if (!isOwed) await runs.record({ run_id, decision_id, outcome: 'success' })
    const { batches } = ledger.counts
    const types = await typesAppended(ledger, async () => {
      await end(runs, {})
    })
    assert.equal(types, [...(isOwed ? ['run.acted'] : []), `run.${status}`])
    assert.is(ledger.counts.batches, batches + 1)
    const { events } = await ledger.audit.list({ run_id })
    const last = events.at(-1)
    assert.equal(
      [last?.action_type, last?.outcome, last?.transition],
      ['system', outcome, { from: 'running', to: status }],
    )
    assert.match(last?.outcome_reason ?? '', reason)
    const acts = events.filter(({ action_type }) => action_type === 'tool_call')
    assert.equal(
      acts.map((act) => [act.decision_id, act.outcome, act.outcome_reason]),
      [[decision_id, isOwed ? 'failure' : 'success', isOwed ? 'unrecorded' : undefined]],
    )
    assert.not('audit' in (await runs.get({ run_id })))
  })

  governed(`no run is ${status} without a reason`, async (ledger) => {
    const before = await ledger.head.get()
    for (const outcome_reason of [undefined, null, '', ' \n\t', 'r'.repeat(201), 7]) {
      assert.is(await codeOf(end(ledger.runs, { outcome_reason })), 'INVALID_INPUT', JSON.stringify(outcome_reason))
    }
    assert.equal(await ledger.head.get(), before)
  })
}

governed('every event of a run carries the correlation of the request, and its audit event too', async (ledger) => {
  await ledger.runs.authorize({ run_id, action: dictation })
  await ledger.runs.cancel({ run_id, outcome_reason: 'over' })
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success', run_id: 'run_top_1' }] })
  const entries = (await entriesOf(ledger)).filter((entry) => entry.run_id !== undefined)
  assert.ok(entries.length >= 9)
  for (const entry of entries) {
    assert.is(entry.correlation_id, 'request-1', entry.type)
    assert.is(renderedEvent(entry).correlation_id, 'request-1', entry.type)
  }
})

governed(
  'taxonomy pins are recorded if they are given, in the record and in the event of the start',
  async (ledger) => {
    const { runs } = ledger
    const taxonomy_versions = { coa: '2026.1', tags: 't-7' }
    await runs.create({ run_id: 'run_tax_1', run_kind: 'orchestrator' })
    const wrong = runs.start({ run_id: 'run_tax_1', taxonomy_versions: { ...taxonomy_versions, moods: '1' } as object })
    assert.is(await codeOf(wrong), 'INVALID_INPUT')
    assert.equal((await runs.start({ run_id: 'run_tax_1', taxonomy_versions })).taxonomy_versions, taxonomy_versions)
    const [event] = (await ledger.audit.list({ run_id: 'run_tax_1', type: 'run.started' })).events
    assert.equal(event?.taxonomy_versions, taxonomy_versions)
    assert.not('taxonomy_versions' in (await runs.get({ run_id: 'run_top_1' })))
  },
)

governed(
  'a run that is started under another contract, or one that is none, is denied; a child too',
  async ({ runs }) => {
    for (const [index, contract_version] of ['v2', '', 'V1', null].entries()) {
      for (const parent_run_id of [undefined, 'run_top_1']) {
        const id = `run_contract_${index}_${parent_run_id ?? 'none'}`
        await runs.create({ parent_run_id, run_id: id, run_kind: 'orchestrator' })
        assert.is(await codeOf(runs.start({ run_id: id, contract_version })), 'RUN_DENIED', id)
        const { missing, reason, rule_ids } = (await runs.why({ run_id: id })).denied ?? {}
        assert.equal(
          [reason, rule_ids, missing],
          ['missing_pin', ['pin_missing:contract_version'], ['contract_version']],
        )
      }
    }
    await runs.create({ run_id: 'run_contract_v1', run_kind: 'orchestrator' })
    assert.is((await runs.start({ run_id: 'run_contract_v1', contract_version: 'v1' })).status, 'running')
  },
)

governed('a lane with partial_outputs keeps what a failed action and a failed run put out', async (ledger, root) => {
  const lanes = join(root, '.lockstep/policy/lanes.yaml')
  const text = readFileSync(lanes, 'utf8')
  const [before = '', after = ''] = text.split(`lane_id: ${of.lane_id}\n`)
  const changed = after.replace('allowed_actions:\n', 'allowed_actions:\n      partial_outputs: true\n')
  writeFileSync(lanes, `${before}lane_id: ${of.lane_id}\n${changed}`)
  await ledger.policy.reload({ actor: { actor_id: 'BECCA', actor_type: 'human' } })
  await begin(ledger, 'run_top_2', 'run_tool2')
  const { runs } = ledger
  const action = { ...dictation, scope: { ...dictation.scope, run_id: 'run_tool2' } }
  const { decision_id } = await runs.authorize({ run_id: 'run_tool2', action })
  const second = { ...artifact, artifact_id: 'art-2' }
  await runs.record({ run_id: 'run_tool2', decision_id, outcome: 'failure', error, output_artifacts: [artifact] })
  const failed = await runs.fail({ run_id: 'run_tool2', outcome_reason: 'broke', error, output_artifacts: [second] })
  assert.equal(failed.outputs?.artifact_refs, [artifact, second])
})

governed('hashes are taken in either case, and stored in small letters', async (ledger) => {
  const upper = 'AB'.repeat(32)
  const hashes = { request_hash_sha256: upper, response_hash_sha256: upper }
  const output_artifacts = [{ ...artifact, hash_sha256: upper }]
  const { runs } = ledger
  const { decision_id } = await runs.authorize({ run_id, action: { ...dictation, artifacts: output_artifacts } })
  await runs.record({ run_id, decision_id, outcome: 'success', output_artifacts, ...hashes })
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success', ...hashes }] })
  const inputs = { artifact_refs: output_artifacts, parameters_hash_sha256: upper }
  await runs.create({ run_id: 'run_hash_1', run_kind: 'orchestrator', inputs })
  for (const entry of await entriesOf(ledger)) assert.not(JSON.stringify(entry).includes('ABAB'), entry.type)
})

governed('what is asked in a run that is not running is a deny on record, and no move', async (ledger) => {
  const { runs } = ledger
  await runs.create({ ...of, run_id: 'run_tool2', run_kind: 'tool_gateway' })
  await runs.complete({ run_id, outcome_reason: 'done' })
  for (const id of ['run_tool2', run_id]) {
    const before = JSON.stringify(await runs.get({ run_id: id }))
    const action = { ...dictation, scope: { ...dictation.scope, run_id: id } }
    assert.is(await codeOf(runs.authorize({ run_id: id, action })), 'RUN_NOT_ACTIVE')
    const last = (await ledger.audit.list({ run_id: id })).events.at(-1)
    assert.equal([last?.action_type, last?.outcome, last?.outcome_reason], ['authz_decision', 'deny', 'RUN_NOT_ACTIVE'])
    assert.is(last?.transition, undefined)
    assert.is(JSON.stringify(await runs.get({ run_id: id })), before)
  }
})

governed('an override takes a human of its lane, a ticket and a reason, and nothing silent', async (ledger) => {
  const { runs } = ledger
  const ana = { actor_id: 'ana', actor_type: 'human' } as const
  const lane = { lane_id: 'SYSTEM_OVERRIDE', role_id: 'ATTORNEY_ADMIN', run_kind: 'tool_gateway' } as const
  await runs.create({ ...lane, run_id: 'run_over_0' })
  assert.is(await codeOf(runs.start({ run_id: 'run_over_0' })), 'RUN_DENIED')
  assert.equal((await runs.why({ run_id: 'run_over_0' })).denied?.rule_ids, ['role:ATTORNEY_ADMIN/class'])
  const stated = { override_ticket_id: 'OT-1', override_reason: 'the court said so' }
  const { override_ticket_id: _, ...noTicket } = stated
  const { override_reason: __, ...noReason } = stated
  const asked: [rule: string | null, scope: Record<string, string | boolean>, effects?: string[]][] = [
    ['lane:SYSTEM_OVERRIDE/requires/override_ticket_id', noTicket],
    ['lane:SYSTEM_OVERRIDE/requires/override_reason', noReason],
    ['lane:SYSTEM_OVERRIDE/prohibits/silent_changes', stated, ['silent_changes']],
    ['lane:SYSTEM_OVERRIDE/prohibits/bypass_audit', { ...stated, audit: false }],
    [null, stated],
  ]
  for (const [index, [rule, scope, effects = []]] of asked.entries()) {
    const id = `run_over_${index + 1}`
    await runs.create({ ...lane, actor: ana, run_id: id })
    await runs.start({ actor: ana, run_id: id })
    const target = { name: 'override.enable' }
    const action = { action_type: 'tool_call' as const, effects, lane_id: lane.lane_id, target }
    const request = { action: { ...action, scope: { ...scope, run_id: id } }, actor: ana, run_id: id }
    const { decision, decision_id, rule_ids } = await runs.authorize(request)
    assert.equal(
      [decision, (await runs.get({ run_id: id })).status],
      rule === null ? ['allow', 'running'] : ['deny', 'denied'],
    )
    if (rule !== null) {
      assert.is(rule_ids[0], rule)
      continue
    }
    await runs.record({ actor: ana, decision_id, outcome: 'success', run_id: id })
    const event = { action_type: 'override', outcome: 'success', outcome_reason: 'OT-1', run_id: id } as const
    assert.is(await codeOf(ledger.audit.append({ events: [event], actor: ana })), 'OVERRIDE_DENIED')
    const actor = { actor_id: ledger.settings.release_authority, actor_type: 'human' } as const
    await ledger.audit.append({ events: [event], actor })
    const [override] = (await ledger.audit.list({ action_type: 'override' })).events
    assert.equal([override?.run_id, override?.lane_id, override?.outcome_reason], [id, lane.lane_id, 'OT-1'])
  }
})

test.run()
