import { type StdioOptions, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { root as projectRoot } from '../runner.ts'
import { caseWork } from '../support/case-work.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { isAlive, isGone, type Run, tellsSignals, until, watch, withOpen } from './supervise.ts'

const found = suite('a command that is run')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli/main.js')
const of = ['--lane', 'TOOL_INTERVIEW_CAPTURE', '--role', 'INTERVIEW_AGENT', '--case', 'CASE-17']
const verbs = {
  'lock run': ['lock', 'run', 'reports'],
  'run exec': ['run', 'exec', '--tool', 'transcription.run', '--scope', 'client_session_id=s-1', ...of],
}
const isLinux = process.platform === 'linux'

/** Each verb in one ledger, which is verified at the end. */
async function underEach(work: (words: string[], root: string, verb: string) => Promise<void>): Promise<void> {
  const root = caseWork(temporaryRoot())
  is((await lockstep(['--dir', root, 'init', root])).status, 0)
  for (const [verb, words] of Object.entries(verbs)) {
    await work([process.execPath, main, '--dir', root, ...words, '--'], root, verb)
  }
  await endsWithVerify(root)
}

/** Variables of shells, odd names, and what a shell would take for orders; what is not named is not there. */
const environments: NodeJS.ProcessEnv[] = [
  {},
  {
    ...{
      _: '/x',
      IFS: ':',
      PWD: '/x',
      OLDPWD: '/y',
      SHLVL: '7',
      OPTIND: '4',
      PPID: '3',
      TMOUT: '1',
      PS1: '>',
      PS4: '+',
    },
    ...{ BASHOPTS: 'x', SHELLOPTS: 'y', RANDOM: '4', SECONDS: '5', UID: '3', LINENO: '9', FUNCNAME: 'f', ENV: '/none' },
  },
  { IFS: ':', 'dotted.name-of.it': 'kept', 'BASH_FUNC_read%%': '() { echo hi\n}', PPID: '3', EUID: '2', BASHPID: '8' },
]

found('gets the environment of its wrapper, and a few more variables', () =>
  underEach(async (words, _root, verb) => {
    for (const [index, environment] of environments.entries()) {
      const env = { ...environment, PATH: process.env.PATH }
      const show = ['env', '-0']
      const lines = async (command: string[]) => {
        const ran = watch(spawn(command[0] ?? '', command.slice(1), { env }))
        is(await ran.exit, 0, ran.err())
        const own = /^LOCKSTEP_(?:ACTOR|LOCK_DIR|LOCK_ID|LOCK_NAME|LOCK_REFS|RUN_ID|TOKEN|UNDER)=/
        return ran
          .out()
          .split('\0')
          .filter((line) => !own.test(line))
          .sort()
      }
      equal(await lines([...words, ...show]), await lines(show), `${verb}, environment ${index}`)
    }
  }),
)

found('inherits the file descriptors of its wrapper', () =>
  underEach(async (words, root, verb) => {
    if (!isLinux) return
    const file = join(root, 'some-file')
    writeFileSync(file, 'content')
    const show = ['sh', '-c', 'cat <&5; cd /proc/$$/fd; for fd in *; do echo "$fd $(readlink "$fd")"; done']
    const seen = async (command: string[], isFull: boolean) => {
      const descriptor = openSync(file, 'r')
      const other = isFull ? descriptor : 'ignore'
      const given: StdioOptions = ['ignore', 'pipe', 'pipe', descriptor, other, descriptor, 'pipe']
      const ran = watch(
        spawn(command[0] ?? '', command.slice(1), { stdio: [...given, ...Array(20).fill(other), descriptor] }),
      )
      is(await ran.exit, 0, ran.err())
      closeSync(descriptor)
      return ran.out().replaceAll(/(?:pipe|socket):\[\d+\]/g, 'a pipe')
    }
    equal(await seen([...words, ...show], false), await seen(show, false), verb)
    // A shell other than bash knows none above 9.
    if (existsSync('/bin/bash')) equal(await seen([...words, ...show], true), await seen(show, true), verb)
  }),
)

const hasScript = isLinux && existsSync('/usr/bin/script')
const quoted = (words: string[]) => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')

/** A shell command below a terminal of its own. Only util-linux has this form. */
function inTerminal(line: string): Run {
  return watch(spawn('script', ['-qec', line, '/dev/null'], { env: { ...process.env, SHELL: '/bin/sh' } }))
}

/** What a command has written to a file, once it is at work, and its pid. */
async function ready(file: string): Promise<number> {
  const pid = () => Number(/ready (\d+)/.exec(existsSync(file) ? readFileSync(file, 'utf8') : '')?.[1] ?? 0)
  return until(`a command at work in ${file}`, pid)
}

found('outlives its terminal under nohup, with its wrapper', () =>
  underEach(async (words, root, verb) => {
    if (!hasScript) return
    const out = join(root, verb.replace(' ', '-'))
    // The other one shows when the terminal has gone, and that there was a hangup.
    const other = 'sleep 100 & echo other $!'
    const stays = ['sh', '-c', 'echo ready $$; exec sleep 100']
    const ran = inTerminal(`${other}; nohup ${quoted([...words, ...stays])} >${out} 2>&1; sleep 1`)
    const child = await ready(out)
    const sleeper = await until('the other', () => Number(/other (\d+)/.exec(ran.out())?.[1] ?? 0))
    ran.process.kill('SIGKILL')
    await isGone(sleeper)
    is(await isAlive(child), true, verb)
    process.kill(child)
    await untilDone(root)
  }),
)

found('receives the SIGHUP of its terminal once', () =>
  underEach(async (words, root, verb) => {
    if (!hasScript) return
    const out = join(root, verb.replace(' ', '-'))
    const ran = inTerminal(`exec ${quoted([...words, ...tellsSignals, '--one'])} >${out} 2>&1`)
    const child = await ready(out)
    ran.process.kill('SIGKILL')
    await isGone(child)
    equal(readFileSync(out, 'utf8').match(/SIG\w+/g), ['SIGHUP'], verb)
    await untilDone(root)
  }),
)

found('keeps its terminal when stdin is not the terminal', () =>
  underEach(async (words, _root, verb) => {
    if (!hasScript) return
    const ran = inTerminal(`exec ${quoted([...words, 'sh', '-c', 'echo through >/dev/tty'])} </dev/null >/dev/null`)
    is(await ran.exit, 0, verb)
    match(ran.out(), /through/, verb)
  }),
)

/** The wrapper is no child of ours there; it has ended when nothing is at work any more. */
function untilDone(root: string): Promise<unknown> {
  return until('the end of the wrapper', () =>
    withOpen(root, async ({ locks, runs }) => {
      const { runs: running } = await runs.list({ status: 'running' })
      return (await locks.list()).locks.length === 0 && running.length === 0
    }),
  )
}

found.run()
