import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Line, sharedMillis } from '../../fixtures/history/caller.ts'
import { connect } from '../../src/client.ts'
import { compiled } from '../support/compiled.ts'
import { until } from '../support/service.ts'
import type { History, Operation } from './history.ts'

const limitMillis = 60_000

/** When a service was killed: from the moment of the signal until it had ended. */
export interface Kill {
  from: number
  to: number
}

/** A service could not start. */
export class ServiceEnded extends Error {}

/** A service in a process of its own, which is killed and started again. */
export class ServiceProcess {
  readonly kills: Kill[] = []
  readonly #dir: string
  readonly #words: readonly string[]
  #child: ChildProcess | undefined
  #said = ''

  constructor(dir: string, words: readonly string[]) {
    this.#dir = dir
    this.#words = words
  }

  /** Starts it, and resolves when it answers. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, this.#words, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    this.#said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = `${this.#said}${text}`.slice(-2_000)
    })
    const answers = async () => {
      if (child.exitCode !== null) throw new ServiceEnded(`the service ended with ${child.exitCode}: ${this.#said}`)
      try {
        await (await connect({ dir: this.#dir })).close()
        return true
      } catch {
        return false
      }
    }
    await until('the service answers', answers, limitMillis)
  }

  async kill(): Promise<void> {
    if (this.#child === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const from = sharedMillis()
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
    this.kills.push({ from, to: sharedMillis() })
  }

  /** Ends it as an operator does, and says how it ended. */
  async stop(): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
    return child.exitCode
  }
}

/** A process with callers. Each has a name that no other process had. */
interface Member {
  name: string
  child: ChildProcess
  lines: Map<string, Line>
  isReady: boolean
  isWorking: boolean
  /** When it was killed. */
  died: number | undefined
  hasEnded: boolean
  said: string
}

interface FleetOptions {
  /** The number of processes, and of callers in each. */
  size: number
  callers: number
  lease_s: number
  seed: number
  /** Whether times in answers are by the clock of a database. */
  isFar?: boolean
}

/** Client processes that work, are stopped and killed, and are replaced. */
export class Fleet {
  readonly #dirs: readonly string[]
  readonly #options: FleetOptions
  #members: Member[] = []
  #started = 0

  constructor(dirs: string | readonly string[], options: FleetOptions) {
    this.#dirs = [dirs].flat()
    this.#options = options
  }

  get size(): number {
    return this.#options.size
  }

  /** Replaces the killed processes and forgets what they did. */
  async fill(): Promise<void> {
    this.#members = this.#members.filter(({ hasEnded }) => !hasEnded)
    for (const member of this.#members) member.lines.clear()
    while (this.#members.length < this.#options.size) this.#members.push(this.#newMember())
    await until('all clients are connected', () => this.#all(({ isReady }) => isReady), limitMillis)
  }

  work(names: readonly string[]): void {
    for (const member of this.#members) {
      member.isWorking = true
      member.child.stdin?.write(`${JSON.stringify({ work: names })}\n`)
    }
  }

  /** Resolves when so many more commands of this round were answered with success. */
  async accepts(more: number): Promise<void> {
    const accepted = () => {
      const lines = this.#members.flatMap((member) => [...member.lines.values()])
      return lines.filter(({ answer }) => answer !== undefined && answer.code === undefined).length
    }
    const least = accepted() + more
    await until(`${more} more commands are accepted`, () => this.#all(() => true) && accepted() >= least, limitMillis)
  }

  /** Lets all end what they do. */
  async rest(): Promise<void> {
    for (const { child, died } of this.#members) if (died === undefined) child.stdin?.write('{}\n')
    await until('all clients rest', () => this.#all(({ hasEnded, isWorking }) => hasEnded || !isWorking), limitMillis)
  }

  /** Signals a process; it may have been killed before. */
  signal(index: number, name: 'SIGCONT' | 'SIGKILL' | 'SIGSTOP'): void {
    const member = this.#members[index]
    if (member === undefined || member.died !== undefined) return
    if (name === 'SIGKILL') member.died = sharedMillis()
    member.child.kill(name)
  }

  /** What the callers saw since the last `fill`. */
  history(kills: readonly Kill[]): History {
    const deaths = new Map<string, number>()
    const operations = this.#members.flatMap(({ died, lines, name }) => {
      for (let index = 0; died !== undefined && index < this.#options.callers; index += 1)
        deaths.set(`${name}-${index}`, died)
      return [...lines.values()].flatMap((line) => attemptsOf(line, kills, died))
    })
    return { operations, deaths, isSwept: true }
  }

  async end(): Promise<void> {
    for (const { child } of this.#members) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
  }

  #newMember(): Member {
    this.#started += 1
    const name = `client${this.#started}`
    const { callers, isFar = false, lease_s, seed } = this.#options
    const numbers = [seed + this.#started, callers, lease_s].map(String)
    const words = [
      compiled('fixtures/history/client.ts'),
      this.#dirs[this.#started % this.#dirs.length] ?? '',
      name,
      ...numbers,
      ...(isFar ? ['far'] : []),
    ]
    const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'pipe'] })
    const member: Member = {
      name,
      child,
      lines: new Map(),
      isReady: false,
      isWorking: false,
      died: undefined,
      hasEnded: false,
      said: '',
    }
    child.stdin.on('error', () => {})
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      member.said = `${member.said}${text}`.slice(-2_000)
    })
    createInterface({ input: child.stdout }).on('line', (text) => heard(member, text))
    child.once('close', () => {
      member.hasEnded = true
    })
    return member
  }

  #all(isTrue: (member: Member) => boolean): boolean {
    const broken = this.#members.find(({ died, hasEnded }) => hasEnded && died === undefined)
    if (broken !== undefined) throw new Error(`${broken.name} ended by itself: ${broken.said}`)
    return this.#members.every(isTrue)
  }
}

function heard(member: Member, text: string): void {
  const line = JSON.parse(text) as Line | { ready: string } | { rested: string }
  if ('ready' in line) member.isReady = true
  else if ('rested' in line) member.isWorking = false
  else member.lines.set(line.id, line)
}

/**
 * The commands that a call was. The client repeats a call whose answer is lost, so a call that was under way while a
 * service was killed may have had an effect before, once for each kill. A command that was not answered has had its
 * effect, if ever, before the service ended that it was sent to last.
 */
function attemptsOf(line: Line, kills: readonly Kill[], died: number | undefined): Operation[] {
  const { answer, from, input, name, process } = line
  const asked = line.asked ?? from
  const ended = line.to ?? died ?? Infinity
  const lost = kills.filter((kill) => kill.to > asked && kill.from < ended)
  const earlier = lost.map(({ to }): Operation => ({ name, process, from: asked, input, to: Math.min(to, ended) }))
  // A call that ends so says that nothing of it has happened.
  if (answer?.code === 'LEDGER_UNAVAILABLE') return [{ name, process, from, to: ended, input, answer }]
  if (answer !== undefined) return [...earlier, { name, process, from, to: ended, input, answer }]
  const last = kills.find(({ from: killed }) => killed >= ended)?.to ?? Infinity
  return [...earlier, { name, process, from, input, to: last }]
}
