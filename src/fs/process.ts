import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, uptime, userInfo } from 'node:os'
import type { LeaseClock, Now } from '../core/clock.ts'
import { type Evidence, judgeLiveness, type Liveness, type Probe } from '../core/lock/liveness.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'

/** The machine and boot this process runs in; read once, for neither changes under a process. */
export interface Machine {
  boot_id: string | null
  host: string
  host_id: string
  pid_ns: string | null
}

let machine: Machine | undefined

/** A pid is a positive 32-bit integer. */
const pidMax = 2 ** 31 - 1

export function thisMachine(): Machine {
  machine ??= { boot_id: readBootId(), host: hostname(), host_id: readHostId(), pid_ns: readPidNamespace() }
  return machine
}

/** Whose process this is, by name; by number where the machine has no name for it, as in many a container. */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.()}`
  }
}

/** Time since boot, suspend counted. Without a boot id every boot counts as another one. */
export function leaseClock(): LeaseClock {
  return { boot_id: thisMachine().boot_id ?? 'unknown', boot_ms: Math.floor(bootMillis(Date.now())) }
}

export function now(): Now {
  return { wall_ms: Date.now(), lease_clock: leaseClock(), host_id: thisMachine().host_id }
}

const bootReadMillis = 1_000
const clocksApartMillisMax = 50
let bootRead = { boot: 0, steady: Number.NEGATIVE_INFINITY, wall: 0 }

/**
 * The uptime, which is a file to read on Linux, so it is read once a second and counted on by the steady clock between.
 * That clock stands still while the machine is suspended; the wall clock does not, so they are apart after it.
 */
function bootMillis(wall: number): number {
  const steady = performance.now()
  const passed = steady - bootRead.steady
  const isApart = Math.abs(wall - bootRead.wall - passed) > clocksApartMillisMax
  if (passed > bootReadMillis || isApart) bootRead = { boot: uptime() * 1000, steady, wall }
  return bootRead.boot + steady - bootRead.steady
}

/**
 * Evidence of a process that is there. `pid_ns` is the namespace that the number counts in, which is ours: the
 * one we see it from (ADR 0005). Errors: PID_NOT_FOUND.
 */
export function evidenceOf(pid: number): Evidence {
  const { boot_id, host, host_id, pid_ns } = thisMachine()
  const seen = inspect(pid)
  if (!seen.exists || /^[ZXx]/.test(seen.state ?? '')) {
    throw new LockstepError('PID_NOT_FOUND', `there is no running process ${pid}`, {
      details: { pid },
      hint: 'Name a process that lives as long as the work: --pid $PPID for the shell that calls, or use "lockstep lock run".',
    })
  }
  return { boot_id, host, host_id, pid, pid_ns, start_time: seen.start_time }
}

/** Whether a recorded process still lives, as far as this machine can tell. */
export function probeLiveness(evidence: Evidence): Liveness {
  const { boot_id, host_id, pid_ns } = thisMachine()
  const comparable = evidence.host_id === host_id && evidence.boot_id === boot_id && evidence.pid_ns === pid_ns
  const seen = comparable ? inspect(evidence.pid) : { exists: true, state: null, start_time: null }
  const probe: Probe = { boot_id, host_id, pid_ns, ...seen }
  return judgeLiveness(evidence, probe)
}

/**
 * Whether kill(pid, 0) finds a process: EPERM is one. The seed's own criterion, for files of other tools, which may
 * name any number: one that no process can have is none.
 */
export function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1 || pid > pidMax) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCodeOf(error) !== 'ESRCH'
  }
}

function inspect(pid: number): Pick<Probe, 'exists' | 'start_time' | 'state'> {
  if (!isRunning(pid)) return { exists: false, state: null, start_time: null }
  return { exists: true, ...(process.platform === 'linux' ? inspectProc(pid) : inspectPs(pid)) }
}

/** State and start time in ticks since boot: fields 3 and 22 of /proc/<pid>/stat, after the command in brackets. */
function inspectProc(pid: number): { state: string | null; start_time: string | null } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? null, start_time: fields[19] ?? null }
  } catch {
    return { state: null, start_time: null }
  }
}

function inspectPs(pid: number): { state: string | null; start_time: string | null } {
  try {
    const environment = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }
    const line = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      env: environment,
      encoding: 'utf8',
      timeout: 2_000,
    })
    const [state = null, ...start] = line.trim().split(/\s+/)
    return { state, start_time: start.length === 0 ? null : start.join(' ') }
  } catch {
    return { state: null, start_time: null }
  }
}

function readBootId(): string | null {
  if (process.platform === 'linux') return readLine('/proc/sys/kernel/random/boot_id')
  // kern.boottime moves with the clock; the session's UUID does not.
  return runLine('sysctl', ['-n', 'kern.bootsessionuuid'])
}

function readHostId(): string {
  const id =
    process.platform === 'darwin'
      ? /"IOPlatformUUID" = "([^"]+)"/.exec(runLine('ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']) ?? '')?.[1]
      : (readLine('/etc/machine-id') ?? readLine('/var/lib/dbus/machine-id'))
  // The raw machine id is confidential by its own manual page, so a digest of it goes into records.
  return createHash('sha256')
    .update(`lockstep host ${id ?? hostname()}`)
    .digest('hex')
    .slice(0, 32)
}

function readPidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return process.platform === 'darwin' ? 'none' : null
  }
}

function readLine(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim() || null
  } catch {
    return null
  }
}

function runLine(command: string, commandArguments: string[]): string | null {
  try {
    return (
      execFileSync(command, commandArguments, {
        encoding: 'utf8',
        timeout: 2_000,
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim() || null
    )
  } catch {
    return null
  }
}
