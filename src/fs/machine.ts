import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isInitialTimeNamespace, noNamespace } from '../core/lock/liveness.ts'
import { systemCodeOf } from '../errors.ts'

/** A machine, its boot and the namespaces, as a process finds them; null is what it cannot read. */
export interface Machine {
  boot_id: string | null
  host: string
  host_id: string
  /** False where the host id was made from the host name, for want of a machine id. */
  is_host_known: boolean
  pid_ns: string | null
  time_ns: string | null
}

/** Reads what this process runs in. Cost: a few small files; on macOS two commands. */
export function readMachine(): Machine {
  const id = readMachineId()
  // The raw machine id is confidential by its own manual page, so a digest of it goes into records.
  const host_id = createHash('sha256')
    .update(`lockstep host ${id ?? hostname()}`)
    .digest('hex')
    .slice(0, 32)
  return {
    boot_id: readBootId(),
    host: hostname(),
    host_id,
    is_host_known: id !== null,
    pid_ns: readNamespace('pid'),
    time_ns: readTimeNamespace(),
  }
}

/** A file that was masked reads as empty, or as anything else that is not a UUID: then the boot is not known. */
function readBootId(): string | null {
  // On macOS kern.boottime moves with the clock; the session's UUID does not.
  const id =
    process.platform === 'linux'
      ? readLine('/proc/sys/kernel/random/boot_id')
      : runLine('sysctl', ['-n', 'kern.bootsessionuuid'])
  return id !== null && uuidPattern.test(id) && /[1-9a-f]/i.test(id) ? id : null
}

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

function readMachineId(): string | null {
  if (process.platform !== 'darwin') return readLine('/etc/machine-id') ?? readLine('/var/lib/dbus/machine-id')
  return (
    /"IOPlatformUUID" = "([^"]+)"/.exec(runLine('ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']) ?? '')?.[1] ?? null
  )
}

/** A kernel without namespaces of a kind has no link for it, though /proc is there; macOS has none at all. */
function readNamespace(kind: 'pid' | 'time'): string | null {
  try {
    return readlinkSync(`/proc/self/ns/${kind}`)
  } catch (error) {
    if (process.platform === 'darwin') return noNamespace
    return systemCodeOf(error) === 'ENOENT' && existsSync('/proc/self/ns/mnt') ? noNamespace : null
  }
}

/**
 * The number of a time namespace that has ended is given to the next one, so that its offsets are part of its name; the
 * initial one has none.
 */
function readTimeNamespace(): string | null {
  const name = readNamespace('time')
  if (name === null || isInitialTimeNamespace(name)) return name
  const offsets = readLine('/proc/self/timens_offsets')
  return (
    offsets &&
    `${name} ${offsets
      .replace(/[a-z]+/g, '')
      .trim()
      .split(/\s+/)
      .join(' ')}`.slice(0, 64)
  )
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
