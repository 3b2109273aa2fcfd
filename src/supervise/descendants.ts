import type { ChildProcess } from 'node:child_process'
import { systemCodeOf } from '../errors.ts'
import { type ListedProcess, listProcesses, marksOf } from './process-list.ts'

const pollMillis = 100
const againMillis = 10
const killMillisMax = 5_000

/** The source of the process list, which tests replace. */
interface System {
  list: () => Promise<ListedProcess[]>
  marks: (pid: number) => string
}

/**
 * A child and all its descendants. A process is a member if it descends from the child, is in its group or session,
 * was a member before, or has the child's mark in its environment. The mark also finds a process that started its own
 * session and lost its parent between two looks. Each `look` remembers members by pid and start time, so that a reused
 * pid is never taken for a member. One case is missed: a process that leaves all of these and clears its environment
 * between two looks. Without /proc, no environment can be read, so leaving group and parent is enough to be missed.
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

  /** The living descendants without the child itself, parents before their children. Cost: one listing. */
  async look(): Promise<ListedProcess[]> {
    const listed = await this.#system.list()
    const isMarked = (pid: number) => this.#system.marks(pid).split(':').includes(this.#mark)
    this.#seen = membersOf(listed, this.#root, this.#seen, isMarked)
    const byPid = new Map(listed.map((one) => [one.pid, one]))
    return [...this.#seen.keys()].flatMap((pid) => (pid === this.#root ? [] : (byPid.get(pid) ?? [])))
  }

  /** Sends TERM to all, and KILL to those left after the grace period. Resolves with those that no signal could end. */
  async end(graceMillis: number): Promise<ListedProcess[]> {
    if (graceMillis > 0) {
      // The list is taken while all parents still live. Parents are signalled first, because a shell whose command
      // ends would run the next one.
      const found = await this.look()
      this.#signalChild('SIGTERM')
      for (const { pid } of found) {
        signal(pid, 'SIGTERM')
        // A stopped process handles TERM only after it continues.
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

  /** Whether the child and all descendants end within this time: two looks in a row must find none. */
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

  /** Signals the child by its handle, which also works where processes cannot be listed. */
  #signalChild(name: 'SIGKILL' | 'SIGTERM'): void {
    this.#child.kill(name)
    this.#child.kill('SIGCONT')
  }

  #isChildAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }
}

/** Processes as a list for people. */
export function named(processes: readonly ListedProcess[]): string {
  const shown = processes.slice(0, namedMax).map(({ pid, command }) => `${pid} (${command})`)
  const more = processes.length - shown.length
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ')
}

const namedMax = 10

/**
 * The living members among the listed processes, by pid and start time. Members are processes seen before, marked
 * processes, and processes whose parent, group or session is a member. The root still counts as a group and session
 * after it has ended, unless its pid was reused. The system does not reuse it while the group lives.
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
  // The start time of the root is kept, so that a later process with the same pid is recognised as different.
  const known = seen.get(root)
  if (!members.has(root) && known !== undefined) members.set(root, known)
  return members
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // The process has ended or belongs to another user now. Survivors are reported at the end.
    if (!['ESRCH', 'EPERM'].includes(systemCodeOf(error) ?? '')) throw error
  }
}
