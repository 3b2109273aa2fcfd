import { type ChildProcess, execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { systemCodeOf } from '../errors.ts'

/** A process as the system lists it. Numbers are used again; a pid together with its start time is not. */
export interface ListedProcess {
  pid: number
  parent: number
  group: number
  session: number
  /** Opaque: equal for the same process, different for a later one under the same number. */
  start: string
}

const pollMillis = 100
const killMillisMax = 5_000
const listingMillisMax = 5_000
const listingBytesMax = 16 * 1024 * 1024

/**
 * A child and whatever it started, children's children too, also those that made a session of their own or whose
 * parent ended meanwhile. Each `look` remembers whom it found by pid and start time, so a process that was once
 * seen stays known when its parent is gone, and one that got a reused number is never taken for it. Not found is
 * who left group and session and lost its parent between two looks.
 */
export class Descendants {
  readonly #child: ChildProcess
  readonly #root: number
  readonly #list: () => Promise<ListedProcess[]>
  #seen = new Map<number, string>()

  constructor(child: ChildProcess, root: number, list: () => Promise<ListedProcess[]> = listProcesses) {
    this.#child = child
    this.#root = root
    this.#list = list
  }

  /** Those that live now, without the child itself, parents before their children. Cost: one listing. */
  async look(): Promise<number[]> {
    const listed = await this.#list()
    this.#seen = membersOf(listed, this.#root, this.#seen)
    return [...this.#seen.keys()].filter((pid) => pid !== this.#root)
  }

  /** TERM to all, KILL to those that are left after the grace. Resolves with the pids that no signal could end. */
  async end(graceMillis: number): Promise<number[]> {
    // Looked for while all still have their parents; then parents first, for a shell whose command ends goes on.
    const pids = await this.look()
    this.#signalChild('SIGTERM')
    for (const pid of pids) {
      signal(pid, 'SIGTERM')
      signal(pid, 'SIGCONT')
    }
    if (await this.#areGoneWithin(graceMillis, () => {})) return []
    const kill = (pids: number[]) => {
      this.#signalChild('SIGKILL')
      for (const pid of pids) signal(pid, 'SIGKILL')
    }
    if (await this.#areGoneWithin(killMillisMax, kill)) return []
    return [...(this.#isChildAlive() ? [this.#root] : []), ...(await this.look())]
  }

  async #areGoneWithin(millis: number, meanwhile: (pids: number[]) => void): Promise<boolean> {
    const until = performance.now() + millis
    for (;;) {
      const pids = await this.look()
      if (pids.length === 0 && !this.#isChildAlive()) return true
      if (performance.now() >= until) return false
      meanwhile(pids)
      await new Promise((resolve) => setTimeout(resolve, Math.min(pollMillis, until - performance.now())))
    }
  }

  /** By its handle and not by its number, so that it is found where nothing can be listed. */
  #signalChild(name: 'SIGKILL' | 'SIGTERM'): void {
    this.#child.kill(name)
    // A stopped process takes a signal only once it goes on.
    this.#child.kill('SIGCONT')
  }

  #isChildAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }
}

/**
 * The living members among the listed processes, by pid and start time: those seen before, and all whose parent,
 * group or session is one of them. The root counts as a group and session even when it has ended, unless its
 * number belongs to another process by now: while the group lives, the system does not use it again.
 */
export function membersOf(
  listed: readonly ListedProcess[],
  root: number,
  seen: ReadonlyMap<number, string>,
): Map<number, string> {
  const starts = new Map(listed.map(({ pid, start }) => [pid, start]))
  const members = new Map<number, string>()
  for (const [pid, start] of seen) if (starts.get(pid) === start) members.set(pid, start)
  const rootStart = starts.get(root)
  const isRootReused = rootStart !== undefined && seen.has(root) && seen.get(root) !== rootStart
  if (rootStart !== undefined && !isRootReused) members.set(root, rootStart)
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

/** All processes that are not dead yet; none where the system lists none. */
async function listProcesses(): Promise<ListedProcess[]> {
  try {
    return process.platform === 'linux' ? listProc() : await listPs()
  } catch {
    return []
  }
}

/** From /proc/<pid>/stat: state, parent, group and session follow the command in brackets, field 22 is the start. */
export function listProc(): ListedProcess[] {
  const listed: ListedProcess[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    let stat: string
    try {
      stat = readFileSync(`/proc/${name}/stat`, 'latin1')
    } catch {
      // It ended between the listing and the look.
      continue
    }
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state = '', parent, group, session] = fields
    const start = fields[19]
    if (start === undefined || /^[ZXx]/.test(state)) continue
    listed.push({ pid: Number(name), parent: Number(parent), group: Number(group), session: Number(session), start })
  }
  return listed
}

/** From `ps`, where there is no /proc. Its sessions are no pids on macOS, so groups and parents have to do. */
export async function listPs(): Promise<ListedProcess[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,pgid=,state=,lstart='], {
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    timeout: listingMillisMax,
    maxBuffer: listingBytesMax,
  })
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, group, state = '', ...start] = line.trim().split(/\s+/)
    if (start.length === 0 || /^[ZXx]/.test(state)) return []
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), session: 0, start: start.join(' ') }]
  })
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // Gone meanwhile, or another user's by now: what is left at the end is reported.
    if (!['ESRCH', 'EPERM'].includes(systemCodeOf(error) ?? '')) throw error
  }
}
