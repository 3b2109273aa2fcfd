import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'

/** A process as the system lists it. Numbers are used again; a pid together with its start time is not. */
export interface ListedProcess {
  pid: number
  parent: number
  group: number
  session: number
  /** Opaque: equal for the same process, different for a later one under the same number. */
  start: string
  /** The name of its program, for people. */
  command: string
}

const listingMillisMax = 5_000
const listingBytesMax = 16 * 1024 * 1024

/** All processes that are not dead yet; none where the system lists none. */
export async function listProcesses(): Promise<ListedProcess[]> {
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

/** The letter of a process's state, where there is a /proc. */
export function stateOf(pid: number): string | undefined {
  try {
    return /\) (\S)(?!.*\) \S)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]
  } catch {
    return undefined
  }
}

/** From `ps`, where there is no /proc. Its sessions are no pids on macOS, so groups and parents have to do. */
export async function listPs(): Promise<ListedProcess[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,pgid=,state=,lstart=,ucomm='], {
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    timeout: listingMillisMax,
    maxBuffer: listingBytesMax,
  })
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, group, state = '', ...rest] = line.trim().split(/\s+/)
    // The start is five words: day, month, date, time and year.
    const start = rest.slice(0, 5).join(' ')
    if (start === '' || /^[ZXx]/.test(state)) return []
    const numbers = { pid: Number(pid), parent: Number(parent), group: Number(group), session: 0 }
    return [{ ...numbers, start, command: rest.slice(5).join(' ') }]
  })
}

/** This process and those above it, as far as they are listed. */
export async function lineage(): Promise<Set<number>> {
  const parents = new Map((await listProcesses()).map(({ parent, pid }) => [pid, parent]))
  const line = new Set<number>()
  for (let pid: number | undefined = process.pid; pid !== undefined && !line.has(pid); pid = parents.get(pid)) {
    line.add(pid)
  }
  return line
}

/** The variable by which what a command started is known again, wherever it went: the ids of all above it. */
export const markVariable = 'LOCKSTEP_UNDER'

/**
 * The marks in the environment of a process, as it was when its program started; '' where there are none, or it is
 * another user's, or the system has no /proc. How long it is, the kernel bounds.
 */
export function marksOf(pid: number): string {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1')
    return new RegExp(`(?:^|\\0)${markVariable}=([^\\0]*)`).exec(environment)?.[1] ?? ''
  } catch {
    return ''
  }
}
