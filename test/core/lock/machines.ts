import type { Now } from '../../../src/core/clock.ts'
import type { Evidence, Probe } from '../../../src/core/lock/liveness.ts'

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
}

/**
 * A world of two hosts with processes in two pid namespaces each. Time passes for all alike; the wall clock jumps;
 * a reboot starts a host's lease clock anew and ends its processes. The ledger's process looks at all of this from
 * one host and one namespace.
 */
export class Machines {
  time = 1_000
  /** How far the wall clock is off from the time that truly passed. */
  wallOffset = Date.UTC(2026, 1, 2)
  readonly hosts: Host[] = [0, 1].map((host) => ({ id: `host-${host}`, boot: `boot-${host}-0`, bootedAt: 0 }))
  readonly processes: Process[] = []
  ledger = { host: 0, ns: 0 }
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

  get uptime(): number {
    return this.time - this.host.bootedAt
  }

  now(): Now {
    return {
      wall_ms: this.wall,
      lease_clock: { boot_id: this.host.boot, boot_ms: this.uptime },
      host_id: this.host.id,
    }
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
    this.hosts[host] = { id, boot: `boot-${host}-${this.#boots}`, bootedAt: this.time }
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

  evidenceOf({ host, boot, ns, pid, start, isReadable }: Process): Evidence {
    const { id } = this.hosts[host] as Host
    const start_time = isReadable ? String(start) : null
    return { boot_id: boot, host: `name of ${id}`, host_id: id, pid, pid_ns: `pid:[${ns}]`, start_time }
  }

  /** What the ledger's process sees of a number, whoever has it. */
  probe(pid: number): Probe {
    const { host, ns } = this.ledger
    const seen = this.occupant(host, ns, pid)
    return {
      host_id: this.host.id,
      boot_id: this.host.boot,
      pid_ns: `pid:[${ns}]`,
      exists: seen !== undefined,
      state: seen?.isReadable ? (seen.isZombie ? 'Z' : 'S') : null,
      start_time: seen?.isReadable ? String(seen.start) : null,
    }
  }
}
