import type { ChildProcess } from 'node:child_process'
import { systemCodeOf } from '../errors.ts'
import { type ListedProcess, listProcesses, marksOf } from './process-list.ts'

const pollMillis = 100
const againMillis = 10
const killMillisMax = 5_000

/** Where to look, for tests that make up processes. */
interface System {
  list: () => Promise<ListedProcess[]>
  marks: (pid: number) => string
}

/**
 * A child and whatever it started, children's children too. Members are who descends from it, is in its group or
 * session, was seen as a member before, or has its mark in the environment: so also who made a session of its own
 * and lost its parent between two looks. Each `look` remembers whom it found by pid and start time, so one that got
 * a reused number is never taken for a member. Not found is who left all of that and cleared its environment
 * between two looks; without /proc, where no environment can be read, who left group and parent between two looks.
 */
export class Descendants {
  readonly #child: ChildProcess
  readonly #mark: string
  readonly #root: number
  readonly #system: System
  #seen = new Map<number, string>()

  constructor(
    { process: child, pid, mark }: { process: ChildProcess; pid: number; mark: string },
    system: System = { list: listProcesses, marks: marksOf },
  ) {
    this.#child = child
    this.#mark = mark
    this.#root = pid
    this.#system = system
  }

  /** Those that live now, without the child itself, parents before their children. Cost: one listing. */
  async look(): Promise<ListedProcess[]> {
    const listed = await this.#system.list()
    const isMarked = (pid: number) => this.#system.marks(pid).split(':').includes(this.#mark)
    this.#seen = membersOf(listed, this.#root, this.#seen, isMarked)
    const byPid = new Map(listed.map((one) => [one.pid, one]))
    return [...this.#seen.keys()].flatMap((pid) => (pid === this.#root ? [] : (byPid.get(pid) ?? [])))
  }

  /** TERM to all, KILL to those that are left after the grace. Resolves with those that no signal could end. */
  async end(graceMillis: number): Promise<ListedProcess[]> {
    if (graceMillis > 0) {
      // Looked for while all still have their parents; then parents first, for a shell whose command ends goes on.
      const found = await this.look()
      this.#signalChild('SIGTERM')
      for (const { pid } of found) {
        signal(pid, 'SIGTERM')
        // A stopped process takes a signal only once it goes on.
        signal(pid, 'SIGCONT')
      }
      if (await this.areGoneWithin(graceMillis)) return []
    }
    const kill = (found: ListedProcess[]) => {
      this.#signalChild('SIGKILL')
      for (const { pid } of found) signal(pid, 'SIGKILL')
    }
    if (await this.areGoneWithin(killMillisMax, kill)) return []
    const left = await this.look()
    const root = (await this.#system.list()).find(({ pid }) => pid === this.#root)
    return this.#isChildAlive() && root !== undefined ? [root, ...left] : left
  }

  /** Whether all have ended within that time, the child too: none is found twice in a row. */
  async areGoneWithin(millis: number, meanwhile: (found: ListedProcess[]) => void = () => {}): Promise<boolean> {
    const until = performance.now() + millis
    for (let emptyBefore = false; ; ) {
      const found = await this.look()
      const isEmpty = found.length === 0 && !this.#isChildAlive()
      if (isEmpty && emptyBefore) return true
      if (performance.now() >= until) return isEmpty
      if (!isEmpty) meanwhile(found)
      emptyBefore = isEmpty
      const pause = isEmpty ? againMillis : pollMillis
      await new Promise((resolve) => setTimeout(resolve, Math.min(pause, until - performance.now())))
    }
  }

  /** By its handle and not by its number, so that it is found where nothing can be listed. */
  #signalChild(name: 'SIGKILL' | 'SIGTERM'): void {
    this.#child.kill(name)
    this.#child.kill('SIGCONT')
  }

  #isChildAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }
}

/** Processes as people are told of them. */
export function named(processes: readonly ListedProcess[]): string {
  const shown = processes.slice(0, namedMax).map(({ pid, command }) => `${pid} (${command})`)
  const more = processes.length - shown.length
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ')
}

const namedMax = 10

/**
 * The living members among the listed processes, by pid and start time: those seen before, all that are marked,
 * and all whose parent, group or session is one of them. The root counts as a group and session even when it has ended, unless its
 * number belongs to another process by now: while the group lives, the system does not use it again.
 */
export function membersOf(
  listed: readonly ListedProcess[],
  root: number,
  seen: ReadonlyMap<number, string>,
  isMarked: (pid: number) => boolean = () => false,
): Map<number, string> {
  const starts = new Map(listed.map(({ pid, start }) => [pid, start]))
  const members = new Map<number, string>()
  for (const [pid, start] of seen) if (starts.get(pid) === start) members.set(pid, start)
  const rootStart = starts.get(root)
  const isRootReused = rootStart !== undefined && seen.has(root) && seen.get(root) !== rootStart
  if (rootStart !== undefined && !isRootReused) members.set(root, rootStart)
  for (const { pid, start } of listed) {
    if (pid !== process.pid && pid !== root && !members.has(pid) && isMarked(pid)) members.set(pid, start)
  }
  const isMember = (pid: number) => members.has(pid) || (pid === root && !isRootReused)

  for (let sizeBefore = -1; sizeBefore !== members.size; ) {
    sizeBefore = members.size
    for (const { pid, parent, group, session, start } of listed) {
      if (pid === process.pid || members.has(pid) || (pid === root && isRootReused)) continue
      if (isMember(parent) || isMember(group) || isMember(session)) members.set(pid, start)
    }
  }
  // What was known of the root stays, so that a later process of its number is told apart.
  const known = seen.get(root)
  if (!members.has(root) && known !== undefined) members.set(root, known)
  return members
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // Gone meanwhile, or another user's by now: what is left at the end is reported.
    if (!['ESRCH', 'EPERM'].includes(systemCodeOf(error) ?? '')) throw error
  }
}
