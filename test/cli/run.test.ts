// limit: 240
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runRecordSchema } from '../../src/domain/run/run-record.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { lockstep, lockstepTogether } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { put } from '../support/scene.ts'

const run = suite('lockstep run and lockstep policy')
const of = ['--lane', 'TOOL_INTERVIEW_CAPTURE', '--role', 'INTERVIEW_AGENT', '--case', 'CASE-17']

/** A new ledger, worked on by processes of their own, and verified at the end. */
function governed(title: string, work: (call: Call, root: string) => Promise<void>): void {
  run(title, async () => {
    const root = temporaryRoot()
    const call: Call = async (status, ...words) => {
      const ended = await lockstep(['--dir', root, ...words])
      assert.is(ended.status, status, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
      return ended.json
    }
    await (await openWithCaseWork({ dir: root })).close()
    await work(call, root)
    await endsWithVerify(root)
  })
}

type Call = (status: number, ...words: string[]) => Promise<Record<string, unknown>>

governed('a run can be driven from its creation to its end by commands alone', async (call, root) => {
  const outputs = put(
    root,
    'outputs.json',
    JSON.stringify([{ artifact_id: 'art-1', artifact_kind: 'notes', hash_sha256: 'ab'.repeat(32) }]),
  )
  const record = runRecordSchema.parse(
    await call(0, 'run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1', '--inputs', outputs),
  )
  assert.is(record.status, 'created')
  assert.is(record.inputs?.artifact_refs[0]?.artifact_id, 'art-1')
  const started = await call(0, 'run', 'start', 'run_top_1', '--lease', '10m', '--taxonomy', 'coa=2026.1')
  assert.equal(started.taxonomy_versions, { coa: '2026.1' })
  await call(0, 'run', 'heartbeat', 'run_top_1')
  await call(0, 'run', 'create', '--kind', 'tool_gateway', '--run-id', 'run_tool1', '--parent', 'run_top_1', ...of)
  await call(0, 'run', 'start', 'run_tool1')
  const action = ['--action', 'tool_call', '--lane', 'TOOL_INTERVIEW_CAPTURE', '--target', 'dictation.start']
  const scope = ['case_id=CASE-17', 'client_session_id=s-1', 'run_id=run_tool1'].flatMap((pair) => ['--scope', pair])
  const { decision_id } = await call(0, 'run', 'authorize', 'run_tool1', ...action, ...scope)
  await call(5, 'run', 'complete', 'run_tool1', '--reason', 'done')
  const recorded = ['--decision', String(decision_id), '--outcome', 'success', '--outputs', outputs]
  assert.equal((await call(0, 'run', 'record', 'run_tool1', ...recorded)).outputs, {
    artifact_refs: [{ artifact_id: 'art-1', artifact_kind: 'notes', hash_sha256: 'ab'.repeat(32) }],
  })
  const denied = await call(4, 'run', 'authorize', 'run_tool1', ...action)
  assert.equal([denied.decision, denied.missing], ['deny', ['case_id', 'client_session_id', 'run_id']])
  assert.equal((await call(0, 'run', 'why', 'run_tool1')).moves, [])
  assert.is((await call(5, 'run', 'complete', 'run_tool1', '--reason', 'done')).code, 'INVALID_STATE_TRANSITION')
  assert.is((await call(4, '--actor', 'agent-9', 'run', 'cancel', 'run_top_1', '--reason', 'no')).code, 'NOT_RUN_ACTOR')
  const failure = ['--error-code', 'E1', '--message', 'it broke', '--retryable']
  runRecordSchema.parse(await call(0, 'run', 'fail', 'run_top_1', ...failure))
  const retried = runRecordSchema.parse(await call(0, 'run', 'retry', 'run_top_1', '--reason', 'again'))
  assert.equal(retried.metadata, { retry_count: 1, retry_of: 'run_top_1', retry_reason: 'again' })
  const { children } = await call(0, 'run', 'tree', 'run_top_1')
  assert.is((children as unknown[]).length, 2)
  const { runs } = await call(0, 'run', 'list', '--state', 'denied')
  assert.equal(
    (runs as { run_id: string }[]).map(({ run_id }) => run_id),
    ['run_tool1'],
  )
  assert.is((await call(3, 'run', 'show', 'run_unknown')).code, 'NOT_FOUND')
})

governed('exec is a mediated run around a command, whose exit code it passes on', async (call) => {
  await call(0, 'run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1')
  await call(0, 'run', 'start', 'run_top_1')
  const exec = (id: string, tool: string, ...command: string[]) => [
    'run',
    'exec',
    '--parent',
    'run_top_1',
    '--run-id',
    id,
    '--tool',
    tool,
    ...of,
    '--scope',
    'client_session_id=s-1',
    '--json',
    '--',
    ...command,
  ]
  await call(0, ...exec('run_exec_1', 'transcription.run', process.execPath, '-e', '', '--'))
  assert.is((await call(0, 'run', 'show', 'run_exec_1')).status, 'completed')
  await call(7, ...exec('run_exec_2', 'transcription.run', process.execPath, '-e', 'process.exit(7)', '--'))
  assert.equal((await call(0, 'run', 'show', 'run_exec_2')).error, {
    error_code: 'EXIT_CODE',
    message: 'exit_7',
    retryable: true,
  })
  await call(127, ...exec('run_exec_3', 'transcription.run', 'no-such-program-here'))
  const { error, outcome } = await call(0, 'run', 'show', 'run_exec_3')
  assert.equal([outcome, (error as { message: string }).message], ['exit_127', 'not_started'])
  await call(
    143,
    ...exec(
      'run_exec_4',
      'transcription.run',
      process.execPath,
      '-e',
      'process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 9)',
      '--',
    ),
  )
  const denied = await call(4, ...exec('run_exec_5', 'rm.all', process.execPath, '-e', 'throw 1', '--'))
  assert.equal([denied.code, denied.reason], ['RUN_DENIED', 'not_permitted'])
  assert.is((await call(0, 'run', 'show', 'run_exec_5')).status, 'denied')
})

governed('exec keeps its run alive as long as the command runs', async (call) => {
  const wait = ['--', process.execPath, '-e', 'setTimeout(() => {}, 6000)', '--']
  await call(
    0,
    'run',
    'exec',
    '--run-id',
    'run_exec_1',
    '--lease',
    '4',
    '--tool',
    'transcription.run',
    ...of,
    '--scope',
    'client_session_id=s-1',
    ...wait,
  )
  assert.is((await call(0, 'run', 'show', 'run_exec_1')).status, 'completed')
})

governed(
  'of several commands that start one run at once, one succeeds and the others are refused',
  async (call, root) => {
    await call(0, 'run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1')
    const together = async (...words: string[]) => {
      const ends = await lockstepTogether(Array.from({ length: 4 }, () => ['--dir', root, 'run', ...words]))
      return ends.map(({ json, status }) => (status === 0 ? 'done' : String(json.code))).sort()
    }
    const oneOfFour = [...Array.from({ length: 3 }, () => 'INVALID_STATE_TRANSITION'), 'done']
    assert.equal(await together('start', 'run_top_1'), oneOfFour)
    assert.equal(await together('complete', 'run_top_1', '--reason', 'done'), oneOfFour)
  },
)

governed('the policy in force is shown, checked, explained and reloaded', async (call, root) => {
  const shown = (await call(0, 'policy', 'show')) as { lanes: { file: string; on_disk: string } }
  assert.equal([shown.lanes.file, shown.lanes.on_disk], ['.lockstep/policy/lanes.yaml', 'same'])
  const question = ['--kind', 'db_write', '--role', 'INTAKE_AGENT', '--case', 'CASE-17', '--action', 'db_write']
  const write = [
    '--lane',
    'WRITE_INTAKE_ARTIFACTS',
    '--target',
    'transcripts',
    '--mode',
    'append',
    '--scope',
    'case_id=CASE-17',
  ]
  await call(4, 'policy', 'explain', ...question, ...write)
  await call(0, 'policy', 'explain', ...question, ...write, '--scope', 'run_id=run_12345')
  assert.is((await call(0, 'policy', 'reload')).replayed, true)
  assert.equal((await call(0, 'policy', 'check')).findings, [])
  put(root, '.lockstep/policy/roles.yaml', 'roles: []\n')
  assert.is((await call(2, 'policy', 'check')).loadable, false)
  assert.is((await call(2, 'policy', 'reload')).code, 'POLICY_INVALID')
})

run.run()
