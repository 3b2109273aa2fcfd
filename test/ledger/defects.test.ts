import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import type { Submission } from '../../src/writer/submission.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { configure } from '../support/scene.ts'
import { refusal, withBareSequencer } from './stage.ts'

const test = suite('defects and hostile names')

/** A command that no aggregate knows, so that deciding it breaks an invariant. */
const broken = { type: 'nonsense.do' } as unknown as Submission['command']
const origin = { format: 1, ledger_id: 'testledger00', origin: 'lockstep.test/bare', vkey: 'none' }
const create = { type: 'ledger.create', data: origin } as Submission['command']

test('a defect in one decision rejects its command, and the rest of the batch is decided and written', async () => {
  await withBareSequencer(async ({ log, submit }) => {
    const [first, defect, repeated] = [submit(create), submit(broken), submit(broken)]
    for (const call of [defect, repeated]) {
      const error = await refusal(call, 'INVARIANT_VIOLATED')
      assert.is(error.details.outcome, 'not_applied')
      assert.match(error.message, 'nonsense.do')
      assert.instance(error.cause, LockstepError)
    }
    assert.is((await first).entries.length, 1)
    assert.is(log.head().size, 1)
  })
})

/** Names that a plain object knows without having been given them. */
const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']
const run = { run_kind: 'agent', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' } as const

/** What a call comes to: `done`, or the code that it is refused with. */
async function outcomeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'done',
    (error: unknown) => (error instanceof LockstepError ? error.code : `${error}`),
  )
}

/** Calls that carry one hostile name in each place that takes a caller's word. */
function callsWith(name: string, ledger: LocalLedger): Promise<unknown>[] {
  const actor = { actor_id: name, actor_type: 'agent' } as const
  const anything = (value: unknown) => value as never
  const create = (members: object) => ledger.runs.create(anything({ ...run, case_id: 'CASE-1', ...members }))
  const run_id = 'run_known1'
  const action = { action_type: 'tool_call', scope: { case_id: 'CASE-1' }, target: { name: 'dictation.start' } }
  const authorize = (members: object) => ledger.runs.authorize(anything({ run_id, action: { ...action, ...members } }))
  return [
    ledger.runs.create({ ...run, actor, case_id: 'CASE-1' }),
    create({ lane_id: name }),
    create({ role_id: name }),
    create({ case_id: name }),
    create({ workflow_id: name }),
    authorize({ lane_id: name }),
    authorize({ role_id: name }),
    authorize({ scope: JSON.parse(`{ ${JSON.stringify(name)}: "x" }`) }),
    authorize({ target: { name } }),
    authorize({ target: { name: 'dictation.start', operation: name } }),
    hold(ledger, { actor, name: `${name}-1`, holder: name }),
    hold(ledger, { name, holder: 'agent-1' }),
    ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success', outcome_reason: name }], actor }),
    ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }], idempotency_key: name }),
  ].map((call) => Promise.resolve(call))
}

for (const name of names) {
  test(`"${name}" is a name like any other: it has no roles or scopes by accident, and the writer goes on`, async () => {
    const dir = temporaryRoot()
    await (await openLedger({ dir, create: true, actor: testActor })).close()
    const config = { actors: { 'agent-1': ['INTERVIEW_AGENT'] }, write_scopes: { 'agent-1': 'deliverable-local' } }
    await configure(dir, config)
    const ledger = await openLedger({ dir, actor: testActor, self_check: true })
    try {
      const outcomes = await Promise.all(callsWith(name, ledger).map(outcomeOf))
      for (const outcome of outcomes) {
        assert.match(outcome, /^(done|[A-Z_]+)$/)
        assert.is.not(outcome, 'INVARIANT_VIOLATED')
      }
      const actor = { actor_id: name, actor_type: 'agent' } as const
      const { run_id } = await ledger.runs.create({ ...run, actor, case_id: 'CASE-1' })
      assert.is(await outcomeOf(ledger.runs.start({ actor, run_id })), 'RUN_DENIED', 'the actor has no such role')
      await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
    } finally {
      await ledger.close()
    }
    await endsWithVerify(dir)
  })
}

test.run()
