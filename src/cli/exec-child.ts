import { type ChildProcess, spawn } from 'node:child_process'
import { codes, messageOf, systemCodeOf } from '../errors.ts'
import { Descendants } from './descendants.ts'
import { say } from './output.ts'
import { exitOf, type SignalRelay } from './signal-relay.ts'
import { startTimer } from './timer.ts'

/** How a command ended: its exit code, and what its run failed of, if it did. All are one word, for any lane. */
export interface Ended {
  code: number
  failure: { error_code: string; message: string } | null
}

export interface ChildOptions {
  argv: readonly string[]
  /** Between TERM and KILL, wherever the command is to end. */
  graceMillis: number
  /** Whether stdin is a terminal: the child stays in its foreground group then, and Ctrl-C is its own affair. */
  isTty: boolean
  /** Resolves when its run cannot be kept alive any more. */
  lost: Promise<void>
  relay: SignalRelay
  /** Aborted with an exit code by a signal that is to end it. */
  stop: AbortSignal
  timeoutMillis?: number | undefined
  /** Given what looks for all that the command started, to be called from time to time. */
  onLook: (look: () => void) => void
}

const exitNotFound = 127
const exitCannotStart = 126

/**
 * Runs a command to its end. Where its run is lost or its time is over, it and all that it started get TERM and, after
 * the grace, KILL, as under `lock run`. A signal that is to end it is passed on; what is left after the grace is ended
 * likewise.
 */
export async function runChild(options: ChildOptions): Promise<Ended> {
  const { argv, graceMillis, isTty, lost, onLook, relay, stop, timeoutMillis } = options
  if (stop.aborted) return ended(Number(stop.reason), 'NOT_STARTED', 'stopped')
  const child = spawn(argv[0] ?? '', argv.slice(1), { detached: !isTty, stdio: 'inherit' })
  const exit = exitOfChild(child)
  if (child.pid === undefined) return exit
  const descendants = new Descendants(child, child.pid)
  const look = () => void descendants.look()
  onLook(look)
  // Before the signal is passed on: who left the group is not found any more once its parent has ended.
  stop.addEventListener('abort', look)
  relay.passOnTo({ process: child, pid: child.pid })
  const timer = new AbortController()
  const first = await Promise.race([
    exit,
    lost.then(() => 'lost' as const),
    stopped(stop),
    after(timeoutMillis, timer.signal),
  ])
  timer.abort()
  if (typeof first === 'object') return first
  if (first !== 'stopped')
    say(`the run ${first === 'lost' ? 'is lost' : 'took too long'}; the command and all it started are ended`)
  const until = performance.now() + graceMillis
  if (first === 'stopped') await endedOrLate(exit, graceMillis)
  const left = await descendants.end(first === 'stopped' ? Math.max(0, until - performance.now()) : graceMillis)
  if (left.length > 0) say(`no signal ended these processes: ${left.join(', ')}`)
  if (first === 'lost') return ended(codes.LEASE_LOST.exit, 'RUN_LOST', 'run_lost')
  if (first === 'timeout') return ended(codes.TIMED_OUT.exit, 'TIMED_OUT', 'timed_out')
  return left.includes(child.pid) ? ended(Number(stop.reason), 'STOPPED', 'not_ended') : exit
}

function ended(code: number, error_code: string, message: string): Ended {
  return { code, failure: { error_code, message } }
}

/** Resolves when the command ends by itself or cannot even be started. */
function exitOfChild(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      say(`${child.spawnargs[0]} cannot be started: ${messageOf(error)}`)
      const code = systemCodeOf(error) === 'ENOENT' ? exitNotFound : exitCannotStart
      resolve(ended(code, 'NOT_STARTED', 'not_started'))
    })
    child.once('exit', (exitCode, signal) => {
      const code = exitCode ?? exitOf(signal ?? 'SIGKILL')
      resolve(code === 0 ? { code, failure: null } : ended(code, 'EXIT_CODE', `exit_${code}`))
    })
  })
}

/** Resolves at a signal that is to end the command. */
function stopped(stop: AbortSignal): Promise<'stopped'> {
  return new Promise((resolve) => stop.addEventListener('abort', () => resolve('stopped')))
}

/** Waits for the end of a command, but no longer than so. */
async function endedOrLate(exit: Promise<Ended>, millis: number): Promise<void> {
  const timer = new AbortController()
  await Promise.race([exit, after(millis, timer.signal)])
  timer.abort()
}

function after(millis: number | undefined, signal: AbortSignal): Promise<'timeout'> {
  return new Promise((resolve) => {
    if (millis === undefined) return
    signal.addEventListener(
      'abort',
      startTimer(millis, () => resolve('timeout')),
    )
  })
}
