import { codes, systemCodeOf } from '../errors.ts'
import { Descendants } from './descendants.ts'
import { endAll, follow, settle, type Work } from './endings.ts'
import { ignoringHangup } from './gate.ts'
import type { KeptLease } from './kept-lease.ts'
import { exitOfChild, launch, type Place } from './launch.ts'
import { say } from './output.ts'
import type { SignalRelay } from './signal-relay.ts'
import type { Survivors } from './survivors.ts'
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
  /** The lease of its run, which is kept from now on. */
  lease: KeptLease
  leaseMillis: number
  place: Place
  relay: SignalRelay
  /** Aborted with an exit code by a signal that is to end it. */
  stop: AbortSignal
  survivors: Survivors
  timeoutMillis?: number | undefined
}

const exitNotFound = 127
const exitCannotStart = 126

/**
 * Runs a command to its end. Where its run is lost or its time is over, it and all that it started get TERM and, after
 * the grace, KILL, as under `lock run`. A signal that is to end it is passed on; what is left after the grace is ended
 * likewise. What it leaves running is waited for, for a whole lease at most.
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
  // Before the signal is passed on: who left the group is not found any more once its parent has ended.
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

/** Ends a command that has not ended by itself. */
async function endEarly(
  first: 'lost' | 'stopped' | 'timeout',
  at: Pick<ChildOptions, 'graceMillis' | 'stop'> & { exit: Promise<Ended>; launched: { pid: number }; work: Work },
): Promise<Ended> {
  const { exit, graceMillis, launched, stop, work } = at
  if (first !== 'stopped') {
    const why = first === 'lost' ? (work.lease.loss?.message ?? 'the run is lost') : 'the run took too long'
    say(`${why}; the command and all it started are ended`)
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

/** Resolves at a signal that is to end the command. */
function stopped(stop: AbortSignal): Promise<'stopped'> {
  return new Promise((resolve) => stop.addEventListener('abort', () => resolve('stopped')))
}

/** Waits for the end of a command or of its lease, but no longer than so. */
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
