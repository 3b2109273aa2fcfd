// limit: 240
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import { root as projectRoot } from '../runner.ts'
import { caseWork } from '../support/case-work.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { isAlive, isGone, pidAfter, type Run, until, watch, withOpen } from './supervise.ts'

const exec = suite('the end of lockstep run exec')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli/main.js')
const of = ['--lane', 'TOOL_INTERVIEW_CAPTURE', '--role', 'INTERVIEW_AGENT', '--case', 'CASE-17']
const scope = ['--tool', 'transcription.run', '--scope', 'client_session_id=s-1']

/** Says who it is, starts another in a session of its own, and ends neither at TERM nor at INT. */
const obstinate = "trap '' TERM; setsid sleep 100 & echo far $!; echo ready $$; while :; do sleep 0.1; done"
const stubborn = `trap '' INT; ${obstinate}`
const obedient = 'setsid sleep 100 & echo far $!; echo ready $$; wait'

/** A run around a command, at work in a ledger of its own, which is verified at the end. */
function atWork(
  title: string,
  { command, options }: { command: string; options: string[] },
  work: (at: { ran: Run; pids: number[]; root: string }) => Promise<void>,
): void {
  exec(title, async () => {
    const root = caseWork(temporaryRoot())
    is((await lockstep(['--dir', root, 'init', root])).status, 0)
    const words = ['--dir', root, 'run', 'exec', '--run-id', 'run_exec_1', ...of, ...scope, ...options]
    // Without a terminal, whatever the tests are run from.
    const ran = watch(spawn(process.execPath, [main, ...words, '--', 'sh', '-c', command], { detached: true }))
    const pids = [await pidAfter(ran, 'ready'), await pidAfter(ran, 'far')]
    await work({ ran, pids, root })
    for (const pid of pids) is(await isAlive(pid), false)
    await endsWithVerify(root)
  })
}

exec('on a terminal leaves Ctrl-C to the command; a TERM after it ends the command with all it started', async () => {
  const root = caseWork(temporaryRoot())
  is((await lockstep(['--dir', root, 'init', root])).status, 0)
  const command = `stty -onlcr; echo parent $PPID; trap 'echo heard' INT; ${obstinate}`
  const words = ['--dir', root, 'run', 'exec', '--run-id', 'run_exec_1', ...of, ...scope, '--grace', '1']
  const line = [process.execPath, main, ...words, '--', 'sh', '-c', command].map(
    (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  )
  // Gives the command a terminal of its own, of which it is the foreground, and passes its exit code on. The shell that
  // `script` puts between becomes the command: whichever it is, one that waits could end at Ctrl-C.
  const env = { ...process.env, SHELL: '/bin/sh' }
  const ran = watch(spawn('script', ['-qec', `exec ${line.join(' ')}`, '/dev/null'], { env }))
  const pids = [await pidAfter(ran, 'ready'), await pidAfter(ran, 'far')]
  const wrapper = await pidAfter(ran, 'parent')
  ran.process.stdin?.write('\x03')
  await until('the command heard of it', () => ran.out().includes('heard'))
  is(await isAlive(wrapper), true)
  process.kill(wrapper, 'SIGTERM')
  is(await ran.exit, 137)
  for (const pid of pids) is(await isAlive(pid), false)
  equal(await endOf(root), ['failed', 'EXIT_CODE', 'failure'])
  await endsWithVerify(root)
})

/** How the run ended, and what its one action came to. */
const endOf = (root: string) =>
  withOpen(root, async (ledger) => {
    const { error, status } = await ledger.runs.get({ run_id: 'run_exec_1' })
    const [acted] = (await ledger.audit.list({ run_id: 'run_exec_1', action_type: 'tool_call' })).events
    return [status, error?.error_code, acted?.outcome]
  })

exec('can be further away than one timer can count; a wait of lock run ends within a day', async () => {
  const root = caseWork(temporaryRoot())
  is((await lockstep(['--dir', root, 'init', root])).status, 0)
  const command = ['--', 'sh', '-c', 'sleep 0.3']
  const executed = ['run', 'exec', ...of, ...scope, '--timeout', '1000h', '--grace', '1000h', ...command]
  is((await lockstep(['--dir', root, ...executed])).status, 0)
  is((await lockstep(['--dir', root, 'lock', 'run', 'reports', '--wait', '24h', ...command])).status, 0)
  is((await lockstep(['--dir', root, 'lock', 'run', 'reports', '--wait', '1000h', ...command])).status, 2)
  await endsWithVerify(root)
})

atWork(
  'that takes too long is ended with all it started, and the run fails',
  { command: stubborn, options: ['--timeout', '2', '--grace', '1'] },
  async ({ ran, root }) => {
    is(await ran.exit, 8)
    match(ran.err(), /reached its time limit/)
    equal(await endOf(root), ['failed', 'TIMED_OUT', 'failure'])
  },
)

for (const [signal, code] of [
  ['SIGTERM', 137],
  ['SIGINT', 137],
] as const) {
  atWork(
    `by ${signal} is passed on; a command that does not end is killed after the grace, with all it started`,
    { command: stubborn, options: ['--grace', '1'] },
    async ({ ran, root }) => {
      ran.process.kill(signal)
      is(await ran.exit, code)
      equal(await endOf(root), ['failed', 'EXIT_CODE', 'failure'])
    },
  )
}

atWork(
  'by a signal that ends the command also ends the processes that it left behind',
  { command: obedient, options: ['--grace', '2'] },
  async ({ ran, root }) => {
    ran.process.kill('SIGTERM')
    is(await ran.exit, 143)
    equal(await endOf(root), ['failed', 'EXIT_CODE', 'failure'])
  },
)

atWork(
  'by another actor who cancels its run ends the command and all it started before the next heartbeat, and reports the run as lost',
  { command: obedient, options: ['--lease', '50m', '--grace', '1'] },
  async ({ pids: [child = 0], ran, root }) => {
    await withOpen(root, (ledger) =>
      ledger.runs.cancel({ run_id: 'run_exec_1', outcome_reason: 'enough', actor: userActor() }),
    )
    await isGone(child)
    is(await ran.exit, 76)
    equal(await endOf(root), ['cancelled', undefined, 'failure'])
  },
)

atWork(
  'by a ledger that is unavailable for a whole lease is reported as a lost run',
  { command: obedient, options: ['--lease', '3', '--grace', '1'] },
  async ({ pids: [child = 0], ran, root }) => {
    await withOpen(root, () => isGone(child))
    is(await ran.exit, 76)
    const [status, code, outcome] = await endOf(root)
    equal([status, outcome], ['failed', 'failure'])
    // Its own deadline lies a moment before that of the ledger.
    match(String(code), /^RUN_(?:LOST|LEASE_EXPIRED)$/)
  },
)

atWork(
  'by KILL of its wrapper also ends the command',
  {
    command: "(setsid sh -c 'echo far $$; exec sleep 100' &); echo ready $$; exec sleep 100",
    options: ['--grace', '1'],
  },
  async ({ pids, ran }) => {
    ran.process.kill('SIGKILL')
    for (const pid of pids) await isGone(pid)
  },
)

atWork(
  'waits for a process that was left behind and names it; the run ends as the command did',
  { command: 'setsid sleep 100 & echo far $!; echo ready $$; exit 7', options: [] },
  async ({ pids: [, left = 0], ran, root }) => {
    await until('the name of it', () => ran.err().includes(`left processes running`) && ran.err().includes(`${left} (`))
    is(await isAlive(left), true)
    process.kill(left)
    is(await ran.exit, 7)
    equal(await endOf(root), ['failed', 'EXIT_CODE', 'failure'])
  },
)

atWork(
  'ends a process that was left behind after a lease; the run ends as the command did',
  { command: `trap '' TERM; setsid sleep 100 & echo far $!; echo ready $$`, options: ['--lease', '3', '--grace', '1'] },
  async ({ ran, root }) => {
    is(await ran.exit, 0)
    equal(await endOf(root), ['completed', undefined, 'success'])
  },
)

exec.run()
