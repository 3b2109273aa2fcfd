import type { Evidence, Probe } from '../../../src/domain/lock/liveness.ts'
import type { Now } from '../../../src/kernel/clock.ts'

/** A process as it truly is. Nobody in the simulation may read `isAlive` but the model that judges afterwards. */
export interface Process {
  host: number
  boot: string
  ns: number
  pid: number
  start: number
  isAlive: boolean
  /** Ended, and not yet reaped by its parent: its number is still taken. */
  isZombie: boolean
  /** Whether state and start time can be read of it (hidepid hides them). */
  isReadable: boolean
}

interface Host {
  id: string
  boot: string
  bootedAt: number
  /** How long it has been suspended in this boot. */
  asleep: number
}

/** What a process finds when it looks around; a pid namespace of its own is a place, not an environment. */
export const environments = [
  'normal',
  'no /proc',
  'boot_id masked',
  'own boot_id',
  'own uptime',
  'time namespace',
] as const
type Environment = (typeof environments)[number]

/** Where the ledger's process stands. */
interface Place {
  host: number
  ns: number
  environment: Environment
}

/** The clocks as a process sees them from its place; undefined is what it cannot read. */
export interface Shown {
  boot: string | undefined
  host: number
  timeNs: string | undefined
  uptime: number
  awake: number
  wall: number
}

const timeOffset = 500_000_000
const containerStart = 400_000

/**
 * A world of two hosts with processes in two pid namespaces each. Time passes for all alike; the wall clock jumps;
 * a host sleeps; a reboot starts a host's lease clock anew and ends its processes. The ledger's process looks at all of
 * this from one host, one pid namespace and one environment.
 */
export class Machines {
  time = 1_000
  /** How far the wall clock is off from the time that truly passed. */
  wallOffset = Date.UTC(2026, 1, 2)
  readonly hosts: Host[] = [0, 1].map((host) => ({
    id: `host-${host}`,
    boot: `boot-${host}-0`,
    bootedAt: 0,
    asleep: 0,
  }))
  readonly processes: Process[] = []
  ledger: Place = { host: 0, ns: 0, environment: 'normal' }
  #boots = 0

  constructor() {
    this.spawn(0, 0, 1, true)
    this.spawn(0, 0, 2, true)
  }

  get host(): Host {
    return this.hosts[this.ledger.host] as Host
  }

  get wall(): number {
    return this.time + this.wallOffset
  }

  /** The clocks as the ledger's process sees them. */
  shown(): Shown {
    const { environment, host } = this.ledger
    const { asleep, boot, bootedAt } = this.host
    const uptime = this.time - bootedAt
    const shown = { boot, host, timeNs: 'time:[4026531834]', uptime, awake: uptime - asleep, wall: this.wall }
    switch (environment) {
      case 'normal':
        return shown
      case 'no /proc':
        return { ...shown, boot: undefined, timeNs: undefined }
      case 'boot_id masked':
        return { ...shown, boot: undefined }
      case 'own boot_id':
        return { ...shown, boot: `own ${boot}` }
      case 'own uptime':
        return { ...shown, uptime: Math.max(0, uptime - containerStart) }
      case 'time namespace':
        return { ...shown, timeNs: 'time:[4026532000]', uptime: uptime + timeOffset, awake: shown.awake + timeOffset }
    }
  }

  now(): Now {
    const { awake, boot = 'unknown', timeNs, uptime, wall } = this.shown()
    const lease_clock = { boot_id: boot, boot_ms: uptime, monotonic_ms: awake, ...(timeNs && { time_ns: timeNs }) }
    return { wall_ms: wall, lease_clock, host_id: this.host.id }
  }

  /** Starts a process under a number that is free: often one that another had before. */
  spawn(host: number, ns: number, pid: number, isReadable: boolean): void {
    if (this.occupant(host, ns, pid) !== undefined) return
    const { boot } = this.hosts[host] as Host
    const start = this.processes.length
    this.processes.push({ host, boot, ns, pid, start, isAlive: true, isZombie: false, isReadable })
  }

  end(process: Process, isZombie: boolean): void {
    process.isZombie = isZombie && process.isAlive
    process.isAlive = false
  }

  reboot(host: number): void {
    this.#boots += 1
    for (const process of this.processes) if (process.host === host) this.end(process, false)
    const { id } = this.hosts[host] as Host
    this.hosts[host] = { id, boot: `boot-${host}-${this.#boots}`, bootedAt: this.time, asleep: 0 }
  }

  /** Who has a number now. */
  occupant(host: number, ns: number, pid: number): Process | undefined {
    return this.processes.find(
      (other) => other.host === host && other.ns === ns && other.pid === pid && (other.isAlive || other.isZombie),
    )
  }

  /** Processes that the ledger's own process sees alive, so that a grant can name them. */
  visible(): Process[] {
    const { host, ns } = this.ledger
    return this.processes.filter((process) => process.isAlive && process.host === host && process.ns === ns)
  }

  evidenceOf({ host, ns, pid, start, isReadable }: Process): Evidence {
    const { id } = this.hosts[host] as Host
    const { boot = null, timeNs } = this.shown()
    const { start_time } = this.#stat(isReadable, start)
    const evidence = { boot_id: boot, host: `name of ${id}`, host_id: id, pid, pid_ns: this.#pidNs(ns), start_time }
    return { ...evidence, ...(timeNs && { time_ns: timeNs }) }
  }

  /** What the ledger's process sees of a number, whoever has it. */
  probe(pid: number): Probe {
    const { host, ns } = this.ledger
    const seen = this.occupant(host, ns, pid)
    const { awake, boot = null, timeNs = null, uptime, wall } = this.shown()
    return {
      host_id: this.host.id,
      is_host_known: true,
      boot_id: boot,
      booted_ms: wall - Math.max(awake, uptime),
      pid_ns: this.#pidNs(ns),
      time_ns: timeNs,
      exists: seen !== undefined,
      ...this.#stat(seen?.isReadable === true, seen?.start ?? 0, seen?.isZombie),
    }
  }

  #pidNs(ns: number): string | null {
    if (this.ledger.environment === 'no /proc') return null
    return ns === 0 ? 'pid:[4026531836]' : `pid:[${4026532100 + ns}]`
  }

  /** State and start time, as /proc shows them: the start counts in the time namespace of who reads it. */
  #stat(isReadable: boolean, start: number, isZombie = false): Pick<Probe, 'start_time' | 'state'> {
    const { environment } = this.ledger
    if (!isReadable || environment === 'no /proc') return { state: null, start_time: null }
    const shownStart = environment === 'time namespace' ? start + timeOffset : start
    return { state: isZombie ? 'Z' : 'S', start_time: String(shownStart) }
  }
}
