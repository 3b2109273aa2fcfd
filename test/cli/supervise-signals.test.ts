// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { SignalRelay } from '../../src/supervise/signal-relay.ts'
import { root as projectRoot } from '../runner.ts'
import {
  driverArguments,
  historyOf,
  isGone,
  list,
  pidAfter,
  type Run,
  run,
  statusOf,
  tellsSignals,
  typesIn,
  until,
  watch,
  withRoot,
} from './supervise.ts'

const supervise = suite('superviseUnderLock and signals')

supervise('forwards every signal once', () =>
  withRoot(async (dir) => {
    const ran = run(dir, tellsSignals)
    await pidAfter(ran, 'ready')
    const names: NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGTERM', 'SIGUSR2']
    for (const [index, name] of names.entries()) {
      ran.process.kill(name)
      await until(name, () => ran.out().trim().split('\n').length === index + 2)
    }
    is(await ran.exit, 0, 'what the child makes of them counts')
    equal(ran.out().trim().split('\n').slice(1), names)
  }),
)

supervise('ends and releases when a signal ends its command, including the shell', () =>
  withRoot(async (dir) => {
    const ran = run(dir, ['sh', '-c', 'sleep 100 & echo inner $!; wait; echo next'])
    const inner = await pidAfter(ran, 'inner')
    ran.process.kill('SIGTERM')
    is(await ran.exit, 143)
    await isGone(inner)
    const released = (await historyOf(dir)).at(-1)
    equal([released?.type, released?.data.outcome], ['lock.released', 'failure'])
  }),
)

supervise('stops and continues with its child', () =>
  withRoot(async (dir) => {
    if (process.platform !== 'linux') return
    const ran = run(dir, tellsSignals)
    const child = await pidAfter(ran, 'ready')
    const states = () =>
      [ran.pid, child].map((pid) => /\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]).join('')
    ran.process.kill('SIGTSTP')
    await until('both stopped', () => states() === 'TT')
    ran.process.kill('SIGCONT')
    await until('both going on', () => ran.out().includes('SIGCONT') && !states().includes('T'))
    ran.process.kill('SIGUSR2')
    is(await ran.exit, 0)
  }),
)

/**
 * The wrapper below a terminal of its own, whose keys are what is written to stdin, with no shell between them that
 * would make its own end of a key. Only util-linux has this form.
 */
function runInTerminal(dir: string, command: string[]): Run {
  const words = [process.execPath, ...driverArguments(dir, command, {})].map(
    (word) => `'${word.replaceAll("'", "'\\''")}'`,
  )
  return watch(spawn('script', ['-qec', `exec ${words.join(' ')}`, '/dev/null'], { cwd: projectRoot }))
}

supervise('leaves the control keys of a terminal to the foreground group', () =>
  withRoot(async (dir) => {
    if (process.platform !== 'linux' || !existsSync('/usr/bin/script')) return
    const ran = runInTerminal(dir, tellsSignals.concat('--one'))
    const child = await until('the child', () => Number(/ready (\d+)/.exec(ran.out())?.[1] ?? 0))
    const listed = await list()
    const groupOf = (pid: number) => listed.find((one) => one.pid === pid)?.group
    const [wrapper = 0] = (await statusOf(dir)).pids ?? []
    is(groupOf(child), groupOf(wrapper))
    ran.process.stdin?.write('\x03')
    is(await ran.exit, 41, `one signal, not two: ${ran.out()}`)
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
  }),
)

supervise('passes on what arrived while its child was started', async () => {
  const stop = new AbortController()
  const relay = new SignalRelay({ isHangupIgnored: false, sharesGroup: false }, stop)
  const child = spawn('sleep', ['100'], { stdio: 'ignore' })
  try {
    process.kill(process.pid, 'SIGTERM')
    await until('the signal', () => stop.signal.aborted)
    const ended = once(child, 'exit')
    relay.passOnTo({ process: child, pid: child.pid ?? 0 })
    equal(await ended, [null, 'SIGTERM'])
  } finally {
    relay.end()
    child.kill('SIGKILL')
  }
})

supervise.run()
