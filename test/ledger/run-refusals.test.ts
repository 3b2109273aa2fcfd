import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decidedLines } from '../../src/cli/run-actions.ts'
import { dictation } from '../core/run/world.ts'
import { typesAppended } from '../support/entries.ts'
import { codeOf, governedIn, startTool } from '../support/governed-runs.ts'
import { newest } from '../support/newest.ts'

const test = suite('refusals of runs on record')
const governed = governedIn(test)
const artifact = { artifact_id: 'art-1', artifact_kind: 'notes', hash_sha256: 'ab'.repeat(32) }
const error = { error_code: 'TIMEOUT', message: 'TIMEOUT', retryable: false }
const done = { outcome_reason: 'done' }
const turn = { run_id: 'run_top_1', turn_id: 'turn-0001' }

governed('every refusal of a call on an existing run is an entry of that run', async (ledger, clock) => {
  const { audit, runs, turns } = ledger
  /** The call is refused, and exactly the refusal is appended. */
  const refuses = async (code: string, call: () => Promise<unknown>) => {
    // Equal refusals within 10 s are counted.
    clock.advance(10_000)
    const refused = async () => assert.is(await codeOf(call()), code)
    assert.equal(await typesAppended(ledger, refused), ['run.refused'], code)
    assert.is((await newest(ledger)).data.code, code)
  }
  const run_id = await startTool(ledger)
  const invented = { decision_id: 'evt_nowhere_1', outcome: 'success', run_id } as const
  await refuses('DECISION_NOT_OPEN', () => runs.record(invented))
  await refuses('DECISION_NOT_OPEN', () => audit.append({ events: [{ ...invented, action_type: 'tool_call' }] }))
  const { decision_id } = await runs.authorize({ action: dictation, run_id })
  await refuses('RUN_HAS_OPEN_ACTION', () => runs.complete({ run_id, ...done }))
  const failure = { decision_id, outcome: 'failure' as const, output_artifacts: [artifact], run_id }
  await refuses('OUTPUTS_DENIED', () => runs.record(failure))
  await runs.record({ decision_id, outcome: 'success', run_id })
  await refuses('DECISION_NOT_OPEN', () => runs.record({ decision_id, outcome: 'success', run_id }))
  await refuses('OUTPUTS_DENIED', () => runs.fail({ error, output_artifacts: [artifact], run_id, ...done }))
  await refuses('RUN_NOT_ORPHAN', () => runs.recover({ reason: 'killed', run_id }))
  await refuses('RUN_NOT_RETRYABLE', () => runs.retry({ retry_reason: 'again', run_id }))
  await runs.fail({ error: { ...error, retryable: true }, run_id, ...done })
  await runs.retry({ retry_reason: 'again', run_id })
  await refuses('RUN_ALREADY_RETRIED', () => runs.retry({ retry_reason: 'again', run_id }))
  const triplets = [{ body: { text: 'a' }, stem: 'GOV.rules.a' }]
  await turns.stage({ ...turn, triplets })
  await refuses('RUN_HAS_OPEN_TURN', () => runs.complete({ run_id: turn.run_id, ...done }))
  await runs.cancel({ outcome_reason: 'over', run_id: turn.run_id })
  await refuses('RUN_NOT_ACTIVE', () => turns.stage({ ...turn, triplets }))
  await refuses('RUN_NOT_ACTIVE', () => turns.validate(turn))
  await refuses('RUN_NOT_ACTIVE', () => turns.reject({ ...turn, reason: 'over' }))
})

governed('a decision_id that a caller invents is in the answer, not on record', async (ledger) => {
  const run_id = await startTool(ledger)
  const decision_id = 'John Doe said it'
  assert.is(await codeOf(ledger.runs.record({ decision_id, outcome: 'success', run_id })), 'DECISION_NOT_OPEN')
  assert.not.match(JSON.stringify(await newest(ledger)), 'Doe')
})

governed('an earlier allow is answered again only while its run may act', async (ledger) => {
  const { runs } = ledger
  const run_id = await startTool(ledger)
  const asked = { action: dictation, idempotency_key: 'once', run_id }
  const { decision_id } = await runs.authorize(asked)
  const again = await runs.authorize(asked)
  assert.equal([again.decision_id, again.replayed], [decision_id, true])
  await runs.cancel({ outcome_reason: 'over', run_id: 'run_top_1' })
  const below = async () => assert.is(await codeOf(runs.authorize(asked)), 'RUN_ANCESTOR_ENDED')
  assert.equal(await typesAppended(ledger, below), ['run.refused'])
  await runs.cancel({ outcome_reason: 'over', run_id })
  assert.is(await codeOf(runs.authorize(asked)), 'RUN_NOT_ACTIVE')
})

governed('an earlier deny is answered again although it ended its run', async (ledger) => {
  const run_id = await startTool(ledger)
  const action = { ...dictation, target: { name: 'nothing.of.it' } }
  const asked = { action, idempotency_key: 'once', run_id }
  const { decision_id } = await ledger.runs.authorize(asked)
  const again = await ledger.runs.authorize(asked)
  assert.equal([again.decision, again.decision_id, again.replayed], ['deny', decision_id, true])
})

test('what people are shown of a repeated request says that it was decided earlier', () => {
  const pins = { lanes: 'a', roles: 'b' }
  const lines = (replayed: boolean) => {
    const of = { decision: 'allow', decision_id: 'evt_abc_7', reason: null } as const
    return decidedLines({ ...of, missing: [], pins, replayed, rule_ids: ['lane:X/tools'] })
  }
  assert.is(lines(true).at(-1), 'decided earlier, in entry 7; nothing was decided now')
  assert.is(lines(false).at(-1), 'decision_id evt_abc_7')
})

test.run()
