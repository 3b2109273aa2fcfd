import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { AppendEvents } from '../../src/api/shapes/audit.ts'
import { eventLine } from '../../src/cli/audit-text.ts'
import { renderedEvent, renderings } from '../../src/domain/rendered-event.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { entriesOf } from '../support/entries.ts'
import { testActor, withLedger } from '../support/ledger.ts'
import { newest } from '../support/newest.ts'
import { refusal, withStage } from './stage.ts'

const test = suite('statements of callers')
const event = { action_type: 'system', outcome: 'success' } as const
type Event = AppendEvents['events'][number]
type Target = NonNullable<Event['target']>
const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: 'ab'.repeat(32) }
const lane = { lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT', case_id: 'CASE-17' }

async function run(ledger: LocalLedger): Promise<string> {
  await ledger.policy.reload()
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id })
  return run_id
}

test('what a caller states is marked as stated in the entry, in the audit event and in the listing', () =>
  withLedger(async (ledger) => {
    const run_id = await run(ledger)
    const target = { name: 'nightly', operation: 'backup', target_type: 'system' } as const
    await ledger.audit.append({ events: [{ ...event, target }] })
    await ledger.audit.append({ events: [{ ...event, run_id }] })
    await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    const entries = await entriesOf(ledger)
    const marked = entries.filter(({ data }) => data.stated === true)
    assert.equal(
      marked.map(({ type }) => type),
      ['audit.recorded', 'audit.recorded'],
    )
    for (const entry of entries) {
      const isStated = entry.type === 'audit.recorded'
      assert.is(renderedEvent(entry).stated, isStated ? true : undefined)
      assert.is(/ stated /.test(eventLine(entry, renderedEvent(entry))), isStated, entry.type)
    }
  }))

const targets: Target[] = [
  { name: 'reports', target_type: 'lock' },
  { name: 'run_draft1', operation: 'run.complete', target_type: 'run' },
  { name: 'turn-0001', target_type: 'turn' },
  { name: 'lanes.yaml', operation: 'policy.load', target_type: 'policy' },
  { name: 'policy', operation: 'policy.load', target_type: 'system' },
  { name: 'reports', operation: 'LOCK.acquire', target_type: 'artifact' },
  { name: 'run_draft1', operation: 'run\u200b.complete', target_type: 'tool' },
]

for (const [index, target] of targets.entries()) {
  test(`a target or verb that is the ledger’s own is refused, and that is on record (${index})`, () =>
    withLedger(async (ledger) => {
      const run_id = await run(ledger)
      await refusal(ledger.audit.append({ events: [{ ...event, target }] }), 'STATEMENT_DENIED')
      const refused = await newest(ledger)
      assert.equal([refused.type, refused.data.code], ['audit.refused', 'STATEMENT_DENIED'])
      await refusal(ledger.audit.append({ events: [event, { ...event, target }] }), 'STATEMENT_DENIED')
      await refusal(ledger.audit.append({ events: [{ ...event, run_id, target }] }), 'STATEMENT_DENIED')
      assert.is((await newest(ledger)).type, 'run.refused')
      assert.is((await ledger.runs.get({ run_id })).status, 'running')
      assert.not((await entriesOf(ledger)).some(({ type }) => type === 'audit.recorded'))
    }))
}

test('every operation that the ledger renders is refused in a statement', () =>
  withLedger(async (ledger) => {
    const operations = Object.values(renderings).flatMap(({ target }) =>
      'operation' in target && typeof target.operation === 'string' ? [target.operation] : [],
    )
    assert.ok(operations.length > 20)
    for (const operation of operations) {
      const target = { name: 'x-1', operation, target_type: 'artifact' } as const
      await refusal(ledger.audit.append({ events: [{ ...event, target }] }), 'STATEMENT_DENIED')
    }
  }))

test('an allow or a deny is a decision, which only the ledger records', () =>
  withLedger(async (ledger) => {
    const target = { name: 'shared_playbooks', operation: 'append', target_type: 'table' } as const
    for (const outcome of ['allow', 'deny'] as const) {
      await refusal(ledger.audit.append({ events: [{ ...event, outcome, target }] }), 'STATEMENT_DENIED')
    }
    for (const action_type of ['authz_decision', 'policy_change'] as const) {
      const forged = { ...event, action_type } as unknown as Event
      await refusal(ledger.audit.append({ events: [forged] }), 'INVALID_INPUT')
    }
  }))

test('an override needs the release authority or an operator', () =>
  withStage(async (ledger) => {
    const override = { action_type: 'override', outcome: 'success', outcome_reason: 'the court asked' } as const
    await refusal(ledger.audit.append({ events: [override] }), 'OVERRIDE_DENIED')
    assert.equal([(await newest(ledger)).type, (await newest(ledger)).data.code], ['audit.refused', 'OVERRIDE_DENIED'])
    const actor = { actor_id: ledger.settings.release_authority, actor_type: 'human' } as const
    await ledger.audit.append({ actor, events: [override] })
  }))

test('a statement outside runs has the case, lane, role and artifacts that the contract’s audit event has', () =>
  withLedger(async (ledger) => {
    const stated = { ...event, ...lane, input_artifacts: [artifact], output_artifacts: [artifact] }
    await ledger.audit.append({ events: [stated] })
    const { events } = await ledger.audit.list({ case_id: lane.case_id })
    assert.is(events.length, 1)
    const { case_id, input_artifacts, lane_id, output_artifacts, role_id } = events[0] ?? {}
    assert.equal(
      { case_id, input_artifacts, lane_id, output_artifacts, role_id },
      { ...lane, input_artifacts: [artifact], output_artifacts: [artifact] },
    )
    assert.is((await ledger.audit.list({ case_id: 'CASE-18' })).events.length, 0)
  }))

test('a statement in a run has the case, lane and role of the run, and artifacts of its case', () =>
  withLedger(async (ledger) => {
    const run_id = await run(ledger)
    await ledger.audit.append({ events: [{ ...event, ...lane, run_id, input_artifacts: [artifact] }] })
    const { events } = await ledger.audit.list({ run_id })
    const { case_id, input_artifacts, lane_id, role_id } = events.at(-1) ?? {}
    assert.equal({ case_id, lane_id, role_id, input_artifacts }, { ...lane, input_artifacts: [artifact] })
    const other = { ...artifact, case_id: 'CASE-18', scope: 'case' as const }
    for (const wrong of [
      { case_id: 'CASE-18' },
      { lane_id: 'EXPORT_CASE_DATA' },
      { role_id: 'ATTORNEY_ADMIN' },
      { input_artifacts: [other] },
      { output_artifacts: [other] },
    ]) {
      await refusal(ledger.audit.append({ events: [{ ...event, run_id, ...wrong }] }), 'STATEMENT_DENIED')
    }
  }))

test('a role that the configuration does not give the actor is refused in a statement', async () => {
  const ledger = await openLedger({ actor: testActor, config: { actors: {} }, engine: 'memory', policy: false })
  try {
    await refusal(ledger.audit.append({ events: [{ ...event, role_id: 'ATTORNEY_ADMIN' }] }), 'STATEMENT_DENIED')
    await ledger.log.verify()
  } finally {
    await ledger.close()
  }
})

test.run()
