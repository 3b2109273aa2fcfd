import { say } from '../cli/output.ts'
import { codes, systemCodeOf } from '../errors.ts'
import { Descendants } from './descendants.ts'
import { endAll, follow, settle, type Work } from './endings.ts'
import { ignoringHangup } from './gate.ts'
import type { KeptLease } from './kept-lease.ts'
import { exitOfChild, launch, type Place } from './launch.ts'
import type { SignalRelay } from './signal-relay.ts'
import type { Survivors } from './survivors.ts'
import { startTimer } from './timer.ts'

/** How a command ended: its exit code, and the error of a failed run. Texts are one word, as some lanes demand. */
export interface Ended {
  code: number
  failure: { error_code: string; message: string } | null
}

export interface ChildOptions {
  argv: readonly string[]
  /** The time between TERM and KILL. */
  graceMillis: number
  /** The lease of the run. Renewals start with the command. */
  lease: KeptLease
  leaseMillis: number
  place: Place
  relay: SignalRelay
  /** Aborted with an exit code by a signal that should end the command. */
  stop: AbortSignal
  survivors: Survivors
  timeoutMillis?: number | undefined
}

const exitNotFound = 127
const exitCannotStart = 126

/**
 * Runs a command to its end. If its run is lost or its time limit is reached, the command and every process it started
 * receive TERM and, after the grace period, KILL, as under `lock run`. A signal that should end the command is passed
 * on, and processes left after the grace period are killed. Processes that an ended command left running are waited
 * for, for at most one lease.
 */
export async function runChild(options: ChildOptions): Promise<Ended> {
  const { argv, graceMillis, lease, leaseMillis, place, relay, stop, survivors, timeoutMillis } = options
  if (stop.aborted) return ended(Number(stop.reason), 'NOT_STARTED', 'stopped')
  const [name = '', ...words] = argv
  const what = place.isHangupIgnored ? ignoringHangup(argv, place.env) : { program: name, words }
  const started = await launch({ ...what, place }, { name, say })
  if ('error' in started) {
    const code = systemCodeOf(started.error) === 'ENOENT' ? exitNotFound : exitCannotStart
    return ended(code, 'NOT_STARTED', 'not_started')
  }
  const { launched } = started
  const exit = exitOfChild(launched.process).then((code) =>
    code === 0 ? { code, failure: null } : ended(code, 'EXIT_CODE', `exit_${code}`),
  )
  const descendants = new Descendants(launched)
  const work: Work = { descendants, guard: launched.guard, lease, say }
  // This look comes before the signal is passed on. Afterwards, a process that left the group could lose its parent,
  // and would not be found.
  stop.addEventListener('abort', () => void descendants.look())
  relay.passOnTo(launched)
  await descendants.look()
  follow(work)
  lease.keep()
  const timer = new AbortController()
  const late = after(timeoutMillis, timer.signal)
  try {
    const first = await Promise.race([exit, lease.lost.then(() => 'lost' as const), stopped(stop), late])
    if (typeof first === 'object') {
      const toStop = Promise.race([stopped(stop), late, relay.nextEnd()])
      await settle(work, { survivors, stopped: toStop, waitMillis: leaseMillis })
      return first
    }
    return await endEarly(first, { exit, graceMillis, launched, stop, work })
  } finally {
    timer.abort()
    await launched.guard.dismiss()
  }
}

/** Ends a command that is still running. */
async function endEarly(
  first: 'lost' | 'stopped' | 'timeout',
  at: Pick<ChildOptions, 'graceMillis' | 'stop'> & { exit: Promise<Ended>; launched: { pid: number }; work: Work },
): Promise<Ended> {
  const { exit, graceMillis, launched, stop, work } = at
  if (first !== 'stopped') {
    const why = first === 'lost' ? (work.lease.loss?.message ?? 'the run is lost') : 'the run reached its time limit'
    say(`${why}; ending the command and all processes it started`)
  }
  const until = performance.now() + graceMillis
  if (first === 'stopped') await endedOrLate([exit, work.lease.lost], graceMillis)
  const graceLeft = first === 'lost' ? work.lease.graceLeft() : graceMillis
  const left = await endAll(work, first === 'stopped' ? Math.max(0, until - performance.now()) : graceLeft)
  const notEnded = left.length > 0 ? 'not_ended' : undefined
  if (first === 'lost') return ended(codes.LEASE_LOST.exit, 'RUN_LOST', notEnded ?? 'run_lost')
  if (first === 'timeout') return ended(codes.TIMED_OUT.exit, 'TIMED_OUT', notEnded ?? 'timed_out')
  return left.some(({ pid }) => pid === launched.pid) ? ended(Number(stop.reason), 'STOPPED', 'not_ended') : exit
}

function ended(code: number, error_code: string, message: string): Ended {
  return { code, failure: { error_code, message } }
}

/** Resolves at a signal that should end the command. */
function stopped(stop: AbortSignal): Promise<'stopped'> {
  return new Promise((resolve) => stop.addEventListener('abort', () => resolve('stopped')))
}

/** Waits for the end of a command or of its lease, for at most `millis`. */
async function endedOrLate(ends: Promise<unknown>[], millis: number): Promise<void> {
  const timer = new AbortController()
  await Promise.race([...ends, after(millis, timer.signal)])
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
