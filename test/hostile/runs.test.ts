import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Code, LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { newest } from '../support/newest.ts'

const hostile = suite('hostile input to runs')

interface Stage {
  ledger: LocalLedger
  /** The open decision of the running run `run_tool1`. */
  decision_id: string
}
type Row = [what: string, code: Code, call: (stage: Stage) => unknown]

/** Whatever comes from outside is not typed; the table says so once. */
const anything = (value: unknown) => value as never
const run_id = 'run_tool1'
const lane = { lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT', case_id: 'CASE-17' }
const ref = { artifact_id: 'art-1', artifact_kind: 'notes', hash_sha256: 'ab'.repeat(32) }
const scope = { case_id: 'CASE-17', client_session_id: 's-1', run_id }
const action = { action_type: 'tool_call', lane_id: lane.lane_id, scope, target: { name: 'dictation.start' } }
const error = { error_code: 'E1', message: 'it broke', retryable: true }

const create =
  (members: object): Row[2] =>
  ({ ledger }) =>
    ledger.runs.create(anything({ run_kind: 'agent', run_id: 'run_new_1', ...members }))
const start =
  (members: object): Row[2] =>
  ({ ledger }) =>
    ledger.runs.start(anything({ run_id, ...members }))
const authorize =
  (members: object): Row[2] =>
  ({ ledger }) =>
    ledger.runs.authorize(anything({ run_id, action: { ...action, ...members } }))
const record =
  (members: object): Row[2] =>
  ({ decision_id, ledger }) =>
    ledger.runs.record(anything({ run_id, decision_id, outcome: 'success', ...members }))
const output = (members: object) => record({ output_artifacts: [{ ...ref, ...members }] })
const input = (members: object) => create({ inputs: { artifact_refs: [{ ...ref, ...members }] } })
const fail =
  (members: object): Row[2] =>
  ({ ledger }) =>
    ledger.runs.fail(anything({ run_id, outcome_reason: 'broke', error, ...members }))
const event =
  (members: object): Row[2] =>
  ({ decision_id, ledger }) =>
    ledger.audit.append({
      events: [anything({ action_type: 'tool_call', outcome: 'success', run_id, decision_id, ...members })],
    })
const deep = { a: { b: { c: 'd' } } }

const locators: [what: string, locator: string][] = [
  ['a data: URI', 'data:text/plain;base64,aGVsbG8='],
  ['a data: URI in capitals', 'DATA:,hello'],
  ['a data: URI behind another scheme', 'view-source:data:,hello'],
  ['a password before the host', 'https://user:secret@example.org/a'],
  ['a token before the host', 'https://ghp_token@example.org/a'],
  ['a token as a parameter', 'https://example.org/a?access_token=abc'],
  ['a key as a parameter', 's3://bucket/a?key=abc'],
  ['a signature behind a hash', 'https://example.org/a#X-Amz-Signature=abc'],
  ['601 characters', `store/${'x'.repeat(595)}`],
  ['a line break', 'store/a\nb'],
]

const rows: Row[] = [
  ['a kind that is none', 'INVALID_INPUT', create({ run_kind: 'workflow' })],
  ['a member that nobody knows', 'INVALID_INPUT', create({ prompt: 'all that the client said' })],
  ['a status of the caller’s making', 'INVALID_INPUT', create({ status: 'completed' })],
  ['pins of the caller’s making', 'INVALID_INPUT', create({ pins: {} })],
  ['a run_id of seven characters', 'INVALID_INPUT', create({ run_id: 'run_new' })],
  ['a run_id of 121 bytes', 'INVALID_INPUT', create({ run_id: `run_${'x'.repeat(117)}` })],
  ['a case_id of three characters', 'INVALID_INPUT', create({ case_id: 'C-1' })],
  ['notes of 1,001 characters', 'INVALID_INPUT', create({ notes: 'n'.repeat(1_001) })],
  ['a tag of 61 bytes', 'INVALID_INPUT', create({ tags: ['t'.repeat(61)] })],
  ['51 tags', 'INVALID_INPUT', create({ tags: Array(51).fill('t') })],
  ['a retry_count of the caller’s making', 'INVALID_INPUT', create({ metadata: { retry_count: 7 } })],
  ['an actor without a type', 'INVALID_INPUT', create({ run_actor: { actor_id: 'agent-9' } })],
  ['an input with content', 'INVALID_INPUT', input({ content: 'what the client said' })],
  ['an input of the scope case without its case', 'INVALID_INPUT', input({ scope: 'case' })],
  ['a contract_version too long to be one', 'INVALID_INPUT', start({ contract_version: 'v'.repeat(201) })],
  ['a lease of 0', 'INVALID_INPUT', start({ lease_duration_s: 0 })],
  ['a lease of more than a day', 'INVALID_INPUT', start({ lease_duration_s: 86_401 })],
  ['an action_type of nobody', 'INVALID_INPUT', authorize({ action_type: 'authz_decision' })],
  ['an action with a member nobody knows', 'INVALID_INPUT', authorize({ prompt: 'all of it' })],
  ['a scope with an object in it', 'INVALID_INPUT', authorize({ scope: deep })],
  ['a scope called __proto__', 'INVALID_INPUT', authorize({ scope: { ...scope, ['__proto__']: 'x' } })],
  ['an action called __proto__', 'INVALID_INPUT', authorize({ ['__proto__']: 'x' })],
  ['an event called __proto__', 'INVALID_INPUT', event({ ['__proto__']: 'x' })],
  ['a run called __proto__', 'INVALID_INPUT', create({ ['__proto__']: 'x' })],
  ['a scope called 10', 'INVALID_INPUT', authorize({ scope: { 10: 'x' } })],
  [
    'a scope of 51 members',
    'INVALID_INPUT',
    authorize({ scope: Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`k${at}`, 'v'])) }),
  ],
  ['a target of 601 characters', 'INVALID_INPUT', authorize({ target: { name: 'x'.repeat(601) } })],
  ['a decision of nobody', 'DECISION_NOT_OPEN', record({ decision_id: 'evt_nobody_0' })],
  ['an outcome that an action has not', 'INVALID_INPUT', record({ outcome: 'deny' })],
  ['the response itself', 'INVALID_INPUT', record({ response: 'all of it' })],
  ['the record of a bundle of the caller’s making', 'INVALID_INPUT', record({ record_digest: 'ab'.repeat(32) })],
  ['the text of such a record', 'INVALID_INPUT', record({ bundle_record: { digest: 'ab'.repeat(32), text: '{}' } })],
  ['an event with such a record', 'INVALID_INPUT', event({ record_digest: 'ab'.repeat(32) })],
  ['a response hash that is none', 'INVALID_INPUT', record({ response_hash_sha256: 'ff' })],
  ['101 outputs', 'INVALID_INPUT', record({ output_artifacts: Array(101).fill(ref) })],
  ['an output with content', 'INVALID_INPUT', output({ content: 'what the client said' })],
  ['an output without a hash', 'INVALID_INPUT', output({ hash_sha256: undefined })],
  ['an output whose note is too long', 'INVALID_INPUT', output({ confidentiality: { notes: 'n'.repeat(301) } })],
  ...locators.flatMap(([what, storage_locator]): Row[] => [
    [`an input at ${what}`, 'INVALID_INPUT', input({ storage_locator })],
    [`an output at ${what}`, 'INVALID_INPUT', output({ storage_locator })],
    [
      `an event whose output is at ${what}`,
      'INVALID_INPUT',
      event({ output_artifacts: [{ ...ref, storage_locator }] }),
    ],
    [`a failure whose stack is at ${what}`, 'INVALID_INPUT', fail({ error: { ...error, stack_ref: storage_locator } })],
  ]),
  ['a failure without a message', 'INVALID_INPUT', fail({ error: { error_code: 'E1', retryable: true } })],
  [
    'a failure that does not say whether it may be retried',
    'INVALID_INPUT',
    fail({ error: { ...error, retryable: undefined } }),
  ],
  ['an error_code of 81 bytes', 'INVALID_INPUT', fail({ error: { ...error, error_code: 'E'.repeat(81) } })],
  ['a message of 2,001 characters', 'INVALID_INPUT', fail({ error: { ...error, message: 'm'.repeat(2_001) } })],
  ['a blank outcome_reason', 'INVALID_INPUT', fail({ outcome_reason: ' \n' })],
  ['an outcome_reason of 201 characters', 'INVALID_INPUT', fail({ outcome_reason: 'r'.repeat(201) })],
  ['outputs of what failed', 'OUTPUTS_DENIED', fail({ output_artifacts: [ref] })],
  ['an end without a reason', 'INVALID_INPUT', ({ ledger }) => ledger.runs.complete(anything({ run_id }))],
  ['a retry without a reason', 'INVALID_INPUT', ({ ledger }) => ledger.runs.retry(anything({ run_id }))],
  ['an event with the response itself', 'INVALID_INPUT', event({ response: 'all of it' })],
  ['an event of a decision without a run', 'INVALID_INPUT', event({ run_id: undefined })],
  ['an action without its decision', 'INVALID_INPUT', event({ decision_id: undefined })],
  [
    'an event of two runs in one append',
    'INVALID_INPUT',
    ({ ledger }) =>
      ledger.audit.append({
        events: [
          anything([
            { action_type: 'system', outcome: 'success', run_id },
            { action_type: 'system', outcome: 'success' },
          ]),
        ],
      }),
  ],
  ['a list behind a run of nobody', 'NOT_FOUND', ({ ledger }) => ledger.runs.list({ cursor: 'run_nobody' })],
  ['a list of 1,001 runs', 'INVALID_INPUT', ({ ledger }) => ledger.runs.list({ limit: 1_001 })],
  ['a list since no time', 'INVALID_INPUT', ({ ledger }) => ledger.runs.list({ since: 'yesterday' })],
]

const stage: Stage = { ledger: undefined as unknown as LocalLedger, decision_id: '' }
let root = ''

hostile.before(async () => {
  root = temporaryRoot()
  const ledger = await openWithCaseWork({ dir: root, actor: testActor, self_check: true })
  const { runs } = ledger
  await runs.create({ ...lane, run_id, run_kind: 'tool_gateway' })
  await runs.start({ run_id })
  const { decision_id } = await runs.authorize(anything({ run_id, action }))
  Object.assign(stage, { ledger, decision_id })
})

hostile.after(async () => {
  await stage.ledger.close()
  await endsWithVerify(root)
})

/** Of these the refusal is stored. */
const recorded = new Set(['DECISION_NOT_OPEN', 'OUTPUTS_DENIED'])

for (const [what, code, call] of rows) {
  hostile(`${what} is ${code}, and nothing of it is stored`, async () => {
    const { ledger } = stage
    const before = await ledger.head.get()
    const refusal = await Promise.resolve()
      .then(() => call(stage))
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
    assert.instance(refusal, LockstepError, String(refusal))
    assert.is((refusal as LockstepError).code, code, (refusal as LockstepError).message)
    assert.ok((refusal as LockstepError).message.length < 2_000, 'a message never carries its payload')
    if (!recorded.has(code)) return assert.equal(await ledger.head.get(), before)
    assert.is((await ledger.head.get()).size, before.size + 1)
    assert.is((await newest(ledger)).type, 'run.refused')
  })
}

hostile.run()
