import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process, and when it started: two processes that have one pid after another differ in it. */
export interface HarnessProcess {
  pid: number
  /** Ticks since boot, where Linux tells them. */
  start: string | null
}

/** How many shells may be between a harness and its hook. */
const shellsMax = 4
const shells = /^-?(?:ash|bash|busybox|dash|fish|ksh|mksh|sh|zsh)$/

/**
 * The process of the harness above a hook, which states its parent as `pid` or `pid start`. A harness runs a hook itself
 * or by `sh -c`, so shells that run one command are passed over. Undefined if this process does not see the stated one:
 * it has ended, or it is in another pid namespace. Cost: two small files for each process.
 */
export function harnessProcess(stated: string | undefined): HarnessProcess | undefined {
  const [, pid = '', start] = /^(\d{1,10})(?: (\d{1,20}))?$/.exec(stated ?? '') ?? []
  let found = pid === '' ? undefined : inspect(Number(pid))
  // On Linux the hook reads the start time itself. Without it, or with another, this is another process.
  if (found === undefined || (found.start !== null && found.start !== start)) return undefined
  for (let passed = 0; passed < shellsMax && found.runsCommand; passed += 1) {
    const above = inspect(found.above)
    if (above === undefined) break
    found = above
  }
  return { pid: found.pid, start: found.start }
}

/** Whether two are one process. */
export function isSame(one: HarnessProcess, other: HarnessProcess | undefined): boolean {
  return one.pid === other?.pid && one.start === other.start
}

/** Whether a process still runs. */
export function isStillRunning({ pid, start }: HarnessProcess): boolean {
  const found = inspect(pid)
  return found !== undefined && found.start === start
}

interface Inspected extends HarnessProcess {
  above: number
  /** Whether it is a shell that was started to run one command. */
  runsCommand: boolean
}

function inspect(pid: number): Inspected | undefined {
  if (pid < 1 || pid > 2 ** 31 - 1) return undefined
  return process.platform === 'linux' ? inspectProc(pid) : inspectPs(pid)
}

function inspectProc(pid: number): Inspected | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const end = stat.lastIndexOf(')')
    const [state = '', above = '', ...more] = stat.slice(end + 2).split(' ')
    if (/^[ZXx]/.test(state)) return undefined
    const isShell = shells.test(stat.slice(stat.indexOf('(') + 1, end))
    const option = isShell ? readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[1] : undefined
    return { above: Number(above), pid, runsCommand: runsOne(option), start: more[17] ?? null }
  } catch {
    return undefined
  }
}

function inspectPs(pid: number): Inspected | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'ppid=,command=', '-p', String(pid)], { encoding: 'utf8', timeout: 1_000 })
    const [above, command = '', option] = line.trim().split(/\s+/)
    const isShell = shells.test(command.replace(/.*\//, ''))
    return { above: Number(above), pid, runsCommand: isShell && runsOne(option), start: null }
  } catch {
    return undefined
  }
}

/** Whether the first option of a shell has `-c` in it. */
function runsOne(option: string | undefined): boolean {
  return /^-[A-Za-z]*c/.test(option ?? '')
}
