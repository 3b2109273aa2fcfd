// limit: 240
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import { root as projectRoot } from '../runner.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { isAlive, pidAfter, watch, withOpen } from './supervise.ts'

const exec = suite('lockstep run exec in a tree of runs')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli/main.js')
const lane = ['--lane', 'TOOL_INTERVIEW_CAPTURE', '--role', 'INTERVIEW_AGENT', '--tool', 'transcription.run']
const below = ['run', 'exec', '--parent', 'run_root1', ...lane, '--scope', 'client_session_id=s-1']
const obedient = 'sleep 100 & echo far $!; echo ready $$; wait'

/** A ledger with a running root that has a case and a correlation id. */
async function withRoot(work: (root: string) => Promise<void>): Promise<void> {
  const root = temporaryRoot()
  const ledger = await openWithCaseWork({ actor: userActor(), dir: root })
  const run_id = 'run_root1'
  await ledger.runs.create({ case_id: 'CASE-17', correlation_id: 'request-1', run_id, run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id })
  await ledger.close()
  await work(root)
  await endsWithVerify(root)
}

const runOf = (root: string, run_id: string) => withOpen(root, ({ runs }) => runs.get({ run_id }))

for (const [title, words, end] of [
  ['its root is cancelled', ['cancel'], ['failed', 'exit_76', 'RUN_LOST']],
  ['its root is denied', ['deny'], ['failed', 'exit_76', 'RUN_LOST']],
  ['its tree is cancelled', ['cancel', '--tree'], ['cancelled', 'cancelled: with run_root1', undefined]],
] as const) {
  exec(`ends its command with exit 76, with all that it started, when ${title}`, () =>
    withRoot(async (root) => {
      const options = ['--dir', root, ...below, '--run-id', 'run_exec_1', '--grace', '1']
      const line = [main, ...options, '--', 'sh', '-c', obedient]
      const ran = watch(spawn(process.execPath, line, { detached: true }))
      const pids = [await pidAfter(ran, 'ready'), await pidAfter(ran, 'far')]
      const ended = await lockstep(['--dir', root, 'run', ...words, 'run_root1', '--reason', 'over'])
      is(ended.status, 0, ended.stderr)
      is(await ran.exit, 76)
      for (const pid of pids) is(await isAlive(pid), false)
      const { error, outcome, status } = await runOf(root, 'run_exec_1')
      equal([status, outcome, error?.error_code], end)
    }),
  )
}

exec('has the case and the correlation id of its parent, in the run and in the scope of its action', () =>
  withRoot(async (root) => {
    const ran = await lockstep(['--dir', root, ...below, '--run-id', 'run_exec_1', '--', 'true'])
    is(ran.status, 0, ran.stderr)
    const { case_id, correlation_id } = await runOf(root, 'run_exec_1')
    equal([case_id, correlation_id], ['CASE-17', 'request-1'])
    const other = [...below, '--case', 'CASE-99', '--run-id', 'run_exec_2', '--', 'true']
    is((await lockstep(['--dir', root, ...other])).status, 4)
  }),
)

for (const [how, command, code] of [
  ['that succeeded', 'exit 0', 0],
  ['that failed', 'exit 3', 3],
  ['that a signal ended', 'kill -KILL $$', 137],
] as const) {
  exec(`answers a repeat of a run_id with the first exit code of a command ${how}, and does not run it again`, () =>
    withRoot(async (root) => {
      const file = join(root, 'ran.txt')
      const words = ['--dir', root, ...below, '--run-id', 'run_exec_1', '--', 'sh', '-c']
      const script = `echo once >> '${file}'; ${command}`
      is((await lockstep([...words, script])).status, code)
      const again = await lockstep([...words, script])
      is(again.status, code)
      match(again.stderr, /run_exec_1 has ended before/)
      is(readFileSync(file, 'utf8'), 'once\n')
      const other = await lockstep([...words, 'true'])
      equal([other.status, other.stderr.includes('IDEMPOTENCY_MISMATCH')], [5, true], other.stderr)
    }),
  )
}

exec('refuses a repeat of a run_id whose command has no recorded outcome, and a retry of it needs a reason', () =>
  withRoot(async (root) => {
    const file = join(root, 'ran.txt')
    const words = [...below, '--run-id', 'run_exec_1', '--lease', '2']
    const command = ['--', 'sh', '-c', `echo once >> '${file}'; ${obedient}`]
    const line = ['--dir', root, ...words, ...command]
    const ran = watch(spawn(process.execPath, [main, ...line], { detached: true }))
    await pidAfter(ran, 'ready')
    const meanwhile = await lockstep(line, { isForPeople: true })
    equal([meanwhile.status, meanwhile.stderr.includes('RUN_OUTCOME_UNKNOWN')], [76, true], meanwhile.stderr)
    ran.process.kill('SIGKILL')
    await ran.exit
    await withOpen(root, ({ runs }) => runs.cancel({ run_id: 'run_exec_1', outcome_reason: 'over' }).catch(() => {}))
    const again = await lockstep(line, { isForPeople: true })
    equal([again.status, again.stderr.includes('RUN_OUTCOME_UNKNOWN')], [76, true], again.stderr)
    is(existsSync(file) && readFileSync(file, 'utf8'), 'once\n')
    is((await lockstep(['--dir', root, 'run', 'retry', 'run_exec_1'])).status, 2)
  }),
)

exec.run()
