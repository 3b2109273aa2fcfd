import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import {
  type Evidence,
  isInitialPidNamespace,
  judgeHolder,
  judgeLiveness,
  type Liveness,
  type Probe,
} from '../domain/lock/liveness.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { type LeaseClock, type Now, unknownBoot } from '../kernel/clock.ts'
import { type Machine, readMachine } from './machine.ts'
import { bootMillis } from './uptime.ts'

let machine: Machine | undefined

/** A pid is a positive 32-bit integer. */
const pidMax = 2 ** 31 - 1

/** The machine and boot of this process. They are read once, because neither changes while a process runs. */
export function thisMachine(): Machine {
  machine ??= readMachine()
  return machine
}

/**
 * The lease clock of this process. Node reads the uptime from /proc/uptime, and a container may have its own version of
 * that file. The monotonic clock always comes from the kernel.
 */
export function leaseClock(): LeaseClock {
  const { boot_id, time_ns } = thisMachine()
  return {
    boot_id: boot_id ?? unknownBoot,
    boot_ms: Math.max(0, Math.floor(bootMillis())),
    monotonic_ms: Math.floor(monotonicMillis()),
    ...(time_ns === null ? {} : { time_ns }),
  }
}

/** Read from the kernel each time: an offset that is computed once is wrong for ever if a pause falls into it. */
function monotonicMillis(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export function now(): Now {
  return { wall_ms: Date.now(), lease_clock: leaseClock(), host_id: thisMachine().host_id }
}

/**
 * Evidence of a running process. `pid_ns` is the namespace in which the pid is valid. It is this process's own
 * namespace, from which the pid was seen (ADR 0005).
 * Errors: PID_NOT_FOUND.
 */
export function evidenceOf(pid: number): Evidence {
  const { boot_id, host, host_id, pid_ns, time_ns } = thisMachine()
  const seen = inspect(pid)
  if (!seen.exists || /^[ZXx]/.test(seen.state ?? '')) {
    throw pidNotFound(pid)
  }
  const evidence = { boot_id, host, host_id, pid, pid_ns, start_time: seen.start_time }
  return time_ns === null ? evidence : { ...evidence, time_ns }
}

/** PID_NOT_FOUND. */
export function pidNotFound(pid: number): LockstepError {
  return new LockstepError('PID_NOT_FOUND', `there is no running process ${pid}`, {
    details: { pid },
    hint: 'Name a process in `pids` that runs as long as the work. In a script that is $$, the script itself.',
  })
}

/**
 * Whether the recorded processes of a holder are still running, as far as this machine can tell. The holder is dead
 * only if all of them are. `seenMillis` is the wall time at which the holder was last known to be alive.
 */
export function probeHolder(evidence: readonly Evidence[], seenMillis: number): Liveness {
  return judgeHolder(evidence.map((process) => probeLiveness(process, seenMillis)))
}

function probeLiveness(evidence: Evidence, seenMillis: number): Liveness {
  const { boot_id, host_id, is_host_known, pid_ns, time_ns } = thisMachine()
  const isSamePlace = evidence.host_id === host_id && evidence.pid_ns === pid_ns
  const seen = isSamePlace ? inspect(evidence.pid) : { exists: true, state: null, start_time: null }
  const wallMillis = Date.now()
  const booted_ms = wallMillis - Math.max(bootMillis(wallMillis), monotonicMillis())
  const probe: Probe = { boot_id, booted_ms, host_id, is_host_known, pid_ns, time_ns, ...seen }
  return judgeLiveness(evidence, probe, seenMillis)
}

/**
 * Like `probeHolder`, for the evidence in another tool's file. Evidence of this host whose boot is unknown is judged by
 * the pid alone. If both boots are known and differ, the pid may belong to another machine.
 */
export function probeFileHolder(evidence: readonly Evidence[], seenMillis: number): Liveness {
  const verdict = probeHolder(evidence, seenMillis)
  if (verdict.alive !== 'unknown') return verdict
  const { boot_id, host_id } = thisMachine()
  const verdicts = evidence.map((process): Liveness => {
    const isOtherBoot = process.boot_id !== null && boot_id !== null && process.boot_id !== boot_id
    if (process.host_id !== host_id || isOtherBoot) return { alive: 'unknown' }
    return probeFilePid(process.pid, process.pid_ns)
  })
  return judgeHolder(verdicts)
}

/**
 * Whether the bare pid in another tool's file is running. It is checked only if the file records this process's own pid
 * namespace, or if it records none and this process sees the pids of the whole machine.
 */
export function probeFilePid(pid: number, pidNamespace: string | null): Liveness {
  const { pid_ns } = thisMachine()
  const isSeen = pidNamespace === null ? isInitialPidNamespace(pid_ns) : pidNamespace === pid_ns
  if (pid <= pidMax && !isSeen) return { alive: 'unknown' }
  return isRunning(pid) ? { alive: 'yes' } : { alive: 'no', reason: 'pid_dead' }
}

/**
 * Whether kill(pid, 0) finds a process; EPERM also means that it exists. A pid outside the valid range counts as not
 * running.
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

/**
 * The state and the start time in ticks since boot: fields 3 and 22 of /proc/<pid>/stat, after the command in brackets.
 * In a new pid namespace that kept another namespace's /proc, the numbers there are not ours, so nothing can be read.
 */
function inspectProc(pid: number): { state: string | null; start_time: string | null } {
  try {
    isOwnProc ??= readlinkSync('/proc/self') === String(process.pid)
    if (!isOwnProc) return { state: null, start_time: null }
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? null, start_time: fields[19] ?? null }
  } catch {
    return { state: null, start_time: null }
  }
}

let isOwnProc: boolean | undefined

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
