import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'

/** A process as the system lists it. Pids are reused, but a pid together with its start time is unique. */
export interface ListedProcess {
  pid: number
  parent: number
  group: number
  session: number
  /** The start time, as an opaque text. It differs between two processes that had the same pid. */
  start: string
  /** The name of its program, for people. */
  command: string
}

const listingMillisMax = 5_000
const listingBytesMax = 16 * 1024 * 1024

/** All living processes; empty if the system cannot list processes. */
export async function listProcesses(): Promise<ListedProcess[]> {
  try {
    return process.platform === 'linux' ? listProc() : await listPs()
  } catch {
    return []
  }
}

/** Reads /proc/<pid>/stat: state, parent, group and session follow the command in brackets; field 22 is the start. */
export function listProc(): ListedProcess[] {
  const listed: ListedProcess[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    let stat: string
    try {
      stat = readFileSync(`/proc/${name}/stat`, 'latin1')
    } catch {
      // The process ended after the folder was listed.
      continue
    }
    const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state = '', parent, group, session] = fields
    const start = fields[19]
    if (start === undefined || /^[ZXx]/.test(state)) continue
    const numbers = { pid: Number(name), parent: Number(parent), group: Number(group), session: Number(session) }
    listed.push({ ...numbers, start, command })
  }
  return listed
}

/** The letter of a process's state; undefined without /proc. */
export function stateOf(pid: number): string | undefined {
  try {
    return /\) (\S)(?!.*\) \S)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]
  } catch {
    return undefined
  }
}

/** Reads `ps`, for systems without /proc. On macOS its sessions are not pids, so only groups and parents are used. */
export async function listPs(): Promise<ListedProcess[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,pgid=,state=,lstart=,ucomm='], {
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    timeout: listingMillisMax,
    maxBuffer: listingBytesMax,
  })
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, group, state = '', ...rest] = line.trim().split(/\s+/)
    // The start time has five words: weekday, month, day, time and year.
    const start = rest.slice(0, 5).join(' ')
    if (start === '' || /^[ZXx]/.test(state)) return []
    const numbers = { pid: Number(pid), parent: Number(parent), group: Number(group), session: 0 }
    return [{ ...numbers, start, command: rest.slice(5).join(' ') }]
  })
}

/** The pids of this process and of its ancestors, as far as they are listed. */
export async function lineage(): Promise<Set<number>> {
  const parents = new Map((await listProcesses()).map(({ parent, pid }) => [pid, parent]))
  const line = new Set<number>()
  for (let pid: number | undefined = process.pid; pid !== undefined && !line.has(pid); pid = parents.get(pid)) {
    line.add(pid)
  }
  return line
}

/** This environment variable identifies the descendants of a command. It lists the marks of all commands above. */
export const markVariable = 'LOCKSTEP_UNDER'

/**
 * The marks in the environment of a process, as of the start of its program. The result is '' if there are none, if
 * the process belongs to another user, or if the system has no /proc. The kernel limits the size of the environment.
 */
export function marksOf(pid: number): string {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1')
    return new RegExp(`(?:^|\\0)${markVariable}=([^\\0]*)`).exec(environment)?.[1] ?? ''
  } catch {
    return ''
  }
}
