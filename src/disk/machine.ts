import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isInitialTimeNamespace, noNamespace } from '../domain/lock/liveness.ts'
import { systemCodeOf } from '../errors.ts'

/** A machine, its boot and its namespaces, as seen by a process. Null means that the value cannot be read. */
export interface Machine {
  boot_id: string | null
  host: string
  host_id: string
  /** False if the host id is derived from the host name because there is no machine id. */
  is_host_known: boolean
  pid_ns: string | null
  time_ns: string | null
}

/** Reads the facts about the machine that this process runs on. Cost: a few small files; two commands on macOS. */
export function readMachine(): Machine {
  const id = readMachineId()
  // The manual page of machine-id says that it is confidential, so records contain only a digest of it.
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

/** A masked file may be empty or contain anything that is not a UUID. The boot is then unknown. */
function readBootId(): string | null {
  // On macOS, kern.boottime changes with the clock; the UUID of the boot session does not.
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

/** If the kernel lacks a kind of namespace, /proc has no link for it. macOS has no namespaces. */
function readNamespace(kind: 'pid' | 'time'): string | null {
  try {
    return readlinkSync(`/proc/self/ns/${kind}`)
  } catch (error) {
    if (process.platform === 'darwin') return noNamespace
    return systemCodeOf(error) === 'ENOENT' && existsSync('/proc/self/ns/mnt') ? noNamespace : null
  }
}

/**
 * The number of an ended time namespace is reused, so the name also contains the offsets. The initial namespace has no
 * offsets.
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
