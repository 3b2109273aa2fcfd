import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { auditEventSchema } from '../../src/domain/audit/audit-event.ts'
import { renderedEvent } from '../../src/domain/rendered-event.ts'
import { assertCanonical } from '../../src/kernel/canonical.ts'
import type { Entry } from '../../src/kernel/entry.ts'

const rendered = suite('an entry as an audit event')

const entry = (type: string, data: Entry['data'], more: Partial<Entry> = {}): Entry => ({
  actor: { actor_id: 'agent-1', actor_type: 'agent' },
  contract_version: 'v1',
  data,
  event_id: 'evt_abcdefghijkl_7',
  policy_versions: { lanes: 'UNPINNED', roles: 'UNPINNED' },
  prev: { stream: null },
  seq: 7,
  stream: 'audit',
  time: '2026-01-02T03:04:05.000Z',
  type,
  ...more,
})

/** Valid under Contract v1, in canonical order, and the same at every reading. */
function valid(of: Entry) {
  const event = renderedEvent(of)
  assertCanonical(event)
  assert.equal(renderedEvent(of), event)
  const document = JSON.parse(JSON.stringify(event)) as typeof event
  assert.equal(auditEventSchema.parse(document), document)
  return document
}

rendered('states who did what, when and with which outcome, and leaves out absent members', () => {
  const name = 'resource:reports'
  const data = { held_ms: 5, holder: 'x', lock_ref: '0'.repeat(16), name, outcome: 'failure', reason: 'gone', token: 1 }
  assert.equal(valid(entry('lock.released', data)), {
    action_type: 'system',
    actor: { actor_id: 'agent-1', actor_type: 'agent' },
    contract_version: 'v1',
    event_id: 'evt_abcdefghijkl_7',
    outcome: 'failure',
    outcome_reason: 'gone',
    policy_versions: { lanes: 'UNPINNED', roles: 'UNPINNED' },
    sequence: 7,
    severity: 'warn',
    target: { name, operation: 'lock.release', target_type: 'lock' },
    timestamp_utc: '2026-01-02T03:04:05.000Z',
  })
})

rendered('cuts a long reason between characters, and leaves out a blank one', () => {
  const broken = (reason: string) => valid(entry('lock.broken', { name: 'resource:x', reason })).outcome_reason
  assert.is(broken(`${'x'.repeat(199)}😀`), 'x'.repeat(199))
  assert.is(broken('x'.repeat(2_000))?.length, 200)
  assert.is(broken(`${' '.repeat(250)}x`), undefined)
})

rendered('puts the type before an actor id that is shorter than the contract requires', () => {
  const actor = { actor_id: 'x', actor_type: 'human', on_behalf_of: 'y' } as const
  const { actor: shown } = valid(entry('policy.refused', { code: 'POLICY_DENIED', command: 'policy.load' }, { actor }))
  assert.equal(shown, { actor_id: 'human:x', actor_type: 'human', on_behalf_of: 'y' })
})

const run = {
  case_id: 'CASE-17',
  correlation_id: 'request-1',
  lane_id: 'LANE',
  parent_run_id: 'run_top_1',
  root_run_id: 'run_top_1',
  run_id: 'run_test_1',
}
const target = { name: 'dictation.start', operation: 'tool_call', target_type: 'tool' }

rendered('of a run has its names and the move that was made or requested', () => {
  const of = (type: string, data: Entry['data']) =>
    valid(entry(type, { outcome_reason: 'done', run_id: run.run_id, ...data }, run))
  const { case_id, correlation_id, lane_id, parent_run_id, root_run_id, run_id } = of('run.renewed', {})
  assert.equal({ case_id, correlation_id, lane_id, parent_run_id, root_run_id, run_id }, run)
  assert.equal(of('run.created', {}).transition, { from: null, to: 'created' })
  assert.equal(of('run.started', {}).transition, { from: 'created', to: 'running' })
  assert.equal(of('run.completed', { duration_ms: 1 }).transition, { from: 'running', to: 'completed' })
  assert.equal(of('run.cancelled', { duration_ms: null }).transition, { from: 'created', to: 'cancelled' })
  const move = { from: 'completed', to: 'running' }
  const refused = { code: 'INVALID_STATE_TRANSITION', command: 'run.start', message: 'no', move, name: run.run_id }
  const { action_type, outcome, outcome_reason, transition } = of('run.refused', refused)
  assert.equal([action_type, outcome, outcome_reason], ['system', 'failure', 'INVALID_STATE_TRANSITION'])
  assert.equal(transition, move)
  const error = { error_code: 'E1', message: 'it broke', retryable: true }
  assert.equal(of('run.failed', { duration_ms: 1, error: { ...error, stack_ref: 'art-1' } }).error, error)
})

rendered('of a decision and its action has the decision, its first rule, artifacts and hashes', () => {
  const ref = { artifact_id: 'art-1', artifact_kind: 'notes', hash_sha256: 'ab'.repeat(32) }
  const rule = `role:${'é'.repeat(300)}`
  const decided = { artifacts: [ref], decision: 'deny', missing: [], on: 'tool_call', reason: 'forbidden' }
  const denied = valid(entry('run.decided', { ...decided, rule_ids: [rule], run_id: run.run_id, target }, run))
  assert.is(denied.decision_id, 'evt_abcdefghijkl_7')
  assert.is(denied.authz?.decision, 'deny')
  assert.ok(rule.startsWith(denied.authz?.rule_id ?? '-'))
  assert.equal(denied.input_artifacts, [ref])

  const hashes = { request_hash_sha256: '0'.repeat(64), response_hash_sha256: '1'.repeat(64) }
  const acted = { action_type: 'tool_call', decision_id: 'evt_abcdefghijkl_6', outcome: 'success', ...hashes }
  const event = valid(entry('run.acted', { ...acted, output_artifacts: [ref], run_id: run.run_id, target }, run))
  assert.is(event.action_type, 'tool_call')
  assert.is(event.decision_id, 'evt_abcdefghijkl_6')
  assert.equal(event.output_artifacts, [ref])
  assert.is(event.response_hash_sha256, hashes.response_hash_sha256)
})

rendered('of a type without a row is a defect', () => {
  assert.throws(
    () => renderedEvent(entry('lock.unheard_of', {})),
    (error: { code: string }) => error.code === 'INVARIANT_VIOLATED',
  )
})

rendered.run()
