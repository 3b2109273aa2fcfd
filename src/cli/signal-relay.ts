import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { stateOf } from './process-list.ts'
import { hasTerminal, isInForeground, leadsSession } from './terminal.ts'

const endSignals = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const
const userSignals = ['SIGUSR1', 'SIGUSR2'] as const
const jobSignals = ['SIGCONT', 'SIGTSTP'] as const

/** Who the signals are meant for. */
interface Relayed {
  process: ChildProcess
  pid: number
}

/**
 * Takes the signals that are meant for the command. Waiting → passing on → ended.
 *
 * INT, TERM, HUP and QUIT abort `stop` with the exit code that they mean: while nobody is there to pass them on to,
 * that ends the waiting. Then each is passed on as often as it comes: what a second TERM means is the child's to say.
 * What a terminal sent to a child in its foreground group aborts nothing, so that a TERM that comes after it still
 * does.
 *
 * A child with a group of its own gets them with that group, as from a terminal, so that a shell does not end and
 * leave its command running without the lock; USR1 and USR2 are for the child alone. TSTP stops both, CONT lets
 * both go on; nothing is renewed meanwhile, so a lease may be lost that way. A child that shares our group, because
 * there is a terminal, has had INT and QUIT already where that is the foreground group, and HUP where the terminal is
 * gone; TSTP and CONT do what they always do. HUP is nobody's where it was ignored when we were started.
 */
export class SignalRelay {
  readonly #isHangupIgnored: boolean
  readonly #sharesGroup: boolean
  readonly #stop: AbortController
  readonly #listeners: [NodeJS.Signals, () => void][]
  #child: Relayed | undefined
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

  passOnTo(child: Relayed): void {
    this.#child = child
    process.once('exit', this.#onExit)
  }

  /** Whether a signal came that is to end the command. */
  get hasHeard(): boolean {
    return this.#hasHeard
  }

  /** Resolves at the next signal that is to end the command, also one that the terminal sent. */
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
      this.#heard()
    }
    if (includes(endSignals, name) && !isChilds) this.#stop.abort(exitOf(name))
    if (name === 'SIGTSTP') {
      // A group without a parent in its session ignores TSTP.
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

  /** A terminal that is gone took its whole group along; its keys are for the foreground group. */
  #isSentByTerminal(name: NodeJS.Signals): boolean {
    if (name === 'SIGHUP') return !hasTerminal() && !leadsSession()
    return (name === 'SIGINT' || name === 'SIGQUIT') && isInForeground()
  }

  #isStopped(): boolean {
    return this.#child !== undefined && /^[Tt]/.test(stateOf(this.#child.pid) ?? '')
  }

  #send(name: NodeJS.Signals, toGroup: boolean): void {
    const { process: child, pid } = this.#child ?? {}
    // Once the child has ended, its number may be another's.
    if (child === undefined || pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    if (!toGroup) return void child.kill(name)
    try {
      process.kill(-pid, name)
    } catch {
      child.kill(name)
    }
  }

  /** A defect that ends this process must not leave the command running without anyone who renews. */
  readonly #onExit = () => this.#send('SIGTERM', !this.#sharesGroup)
}

function includes(names: readonly NodeJS.Signals[], name: NodeJS.Signals): boolean {
  return names.includes(name)
}

/** What a shell says of a process that a signal ended. */
export function exitOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
