import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { stateOf } from './process-list.ts'
import { hasTerminal, isInForeground, leadsSession } from './terminal.ts'

const endSignals = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const
const userSignals = ['SIGUSR1', 'SIGUSR2'] as const
const jobSignals = ['SIGCONT', 'SIGTSTP'] as const

/** The process that receives the signals. */
interface Relayed {
  process: ChildProcess
  pid: number
}

/**
 * Receives the signals that are meant for the command. States: waiting → passing on → ended.
 *
 * INT, TERM, HUP and QUIT abort `stop` with their exit code. Before the child runs, that ends the wait for the lock.
 * Afterwards, every signal is passed on each time it arrives, because the child decides what a second TERM means. A
 * signal that the terminal sent to the child directly does not abort `stop`, so that a later TERM still can.
 *
 * A child in its own process group receives signals together with its group, like from a terminal. Otherwise a shell
 * could exit and leave its command running without the lock. USR1 and USR2 go to the child alone. TSTP stops the
 * wrapper and the child, and CONT resumes both. A stopped wrapper renews nothing, so the lease can be lost.
 *
 * A child that shares our group, because there is a terminal, already received INT and QUIT if the group is in the
 * foreground, and HUP if the terminal is gone. TSTP and CONT then have their usual effect. If HUP was ignored when this
 * process started, it is ignored here too.
 */
export class SignalRelay {
  readonly #isHangupIgnored: boolean
  readonly #sharesGroup: boolean
  readonly #stop: AbortController
  readonly #listeners: [NodeJS.Signals, () => void][]
  #child: Relayed | undefined
  #missed: NodeJS.Signals | undefined
  #heard: () => void = () => {}
  #hasHeard = false

  constructor(place: { isHangupIgnored: boolean; sharesGroup: boolean }, stop: AbortController) {
    this.#isHangupIgnored = place.isHangupIgnored
    this.#sharesGroup = place.sharesGroup
    this.#stop = stop
    const signals: NodeJS.Signals[] = [...endSignals, ...userSignals, ...(place.sharesGroup ? [] : jobSignals)]
    this.#listeners = signals.map((name) => [name, () => this.#take(name)])
    for (const [name, listener] of this.#listeners) process.on(name, listener)
  }

  /** Passes signals on from now. A signal that arrived while the child was started is passed on at once. */
  passOnTo(child: Relayed): void {
    this.#child = child
    process.once('exit', this.#onExit)
    if (this.#missed !== undefined) this.#send(this.#missed, !this.#sharesGroup)
  }

  /** Whether a signal arrived that should end the command. */
  get hasHeard(): boolean {
    return this.#hasHeard
  }

  /** Resolves at the next signal that should end the command, including signals sent by the terminal. */
  nextEnd(): Promise<void> {
    return new Promise((resolve) => {
      this.#heard = resolve
    })
  }

  end(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener)
    process.off('exit', this.#onExit)
  }

  #take(name: NodeJS.Signals): void {
    if (name === 'SIGHUP' && this.#isHangupIgnored) return
    const isOfTerminal = this.#sharesGroup && this.#isSentByTerminal(name)
    const isChilds = isOfTerminal && name !== 'SIGHUP' && this.#child !== undefined
    if (includes(endSignals, name)) {
      this.#hasHeard = true
      if (this.#child === undefined) this.#missed = name
      this.#heard()
    }
    if (includes(endSignals, name) && !isChilds) this.#stop.abort(exitOf(name))
    if (name === 'SIGTSTP') {
      // The kernel ignores TSTP for a group without a parent in its session, so the child gets STOP.
      this.#send('SIGSTOP', true)
      process.kill(process.pid, 'SIGSTOP')
    } else if (!this.#sharesGroup) {
      this.#send(name, !includes(userSignals, name))
    } else if (!isOfTerminal) {
      this.#send(name, false)
    }
    // A command that stands still takes no signal before it goes on, and would hold the lock for ever.
    if (includes(endSignals, name) && this.#isStopped()) this.#send('SIGCONT', !this.#sharesGroup)
  }

  /** A closing terminal sends HUP to the whole group. Its keys send INT and QUIT to the foreground group. */
  #isSentByTerminal(name: NodeJS.Signals): boolean {
    if (name === 'SIGHUP') return !hasTerminal() && !leadsSession()
    return (name === 'SIGINT' || name === 'SIGQUIT') && isInForeground()
  }

  #isStopped(): boolean {
    return this.#child !== undefined && /^[Tt]/.test(stateOf(this.#child.pid) ?? '')
  }

  #send(name: NodeJS.Signals, toGroup: boolean): void {
    const { process: child, pid } = this.#child ?? {}
    // After the child has ended, another process may reuse its pid.
    if (child === undefined || pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    if (!toGroup) return void child.kill(name)
    try {
      process.kill(-pid, name)
    } catch {
      child.kill(name)
    }
  }

  /** If a defect ends this process, the command must not keep running without renewals. */
  readonly #onExit = () => this.#send('SIGTERM', !this.#sharesGroup)
}

function includes(names: readonly NodeJS.Signals[], name: NodeJS.Signals): boolean {
  return names.includes(name)
}

/** The exit code that a shell reports for a process that this signal ended. */
export function exitOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
