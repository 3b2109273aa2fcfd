import type { Machines, Process } from './machines.ts'

/** A grant as the model keeps it: when it truly began, and which processes truly hold it. */
export interface Held {
  token: number
  lock: number
  actor: string
  lease_ms: number | null
  content: string
  since: number
  boot: string
  host: number
  wallExpiry: number
  processes: readonly Process[]
}

/** What a caller asks for; the same request has the same lock, actor and content. */
export interface Request {
  lock: number
  actor: string
  content: string
}

export type Death = { token: number } | undefined

interface Ended {
  lock: number
  actor: string
  isReleased: boolean
  seq: number
}

/** What the model says must come of a command: a kind of answer, and what it ends or repeats. */
export type Verdict = 'append' | { repeat: number } | { refuse: string }

/**
 * What a lock is, in a few plain maps and the words of locks.md, with the truth about processes and time at hand.
 * It says what must come of every command; the deciders have to say the same, from evidence alone.
 */
export class LockModel {
  readonly held = new Map<string, Held>()
  readonly ended = new Map<string, Ended>()
  readonly retired = new Map<string, number>()
  readonly #machines: Machines

  constructor(machines: Machines) {
    this.#machines = machines
  }

  /** On the lease clock; across boots of one host by the uptime or the wall clock, elsewhere by the wall clock. */
  isExpired({ boot, host, lease_ms, since, wallExpiry }: Held): boolean {
    const machines = this.#machines
    if (lease_ms === null) return false
    if (boot === machines.host.boot) return machines.time - since >= lease_ms
    const isOutlivedByUptime = host === machines.ledger.host && machines.uptime >= lease_ms
    return isOutlivedByUptime || machines.wall >= wallExpiry
  }

  /** Every process of the holder can be known to be dead, from where the ledger's process stands. */
  isKnownDead({ processes }: Held): boolean {
    return processes.length > 0 && processes.every((process) => this.#isSeenDead(process))
  }

  #isSeenDead(process: Process): boolean {
    const { host, ledger } = this.#machines
    if (process.host !== ledger.host) return false
    if (process.boot !== host.boot) return true
    if (process.ns !== ledger.ns) return false
    const occupant = this.#machines.occupant(process.host, process.ns, process.pid)
    if (occupant === undefined) return true
    // An occupant of the number that cannot be read may be the holder; and one without a known start always may.
    if (!occupant.isReadable) return false
    return occupant.isZombie || (process.isReadable && occupant !== process)
  }

  /** `death` is what a probe said, now or before: it counts for the grant it was taken of. */
  isOrphan(held: Held, death: Death): boolean {
    return this.isExpired(held) || (held.lease_ms !== null && death?.token === held.token)
  }

  acquire(name: string, { lock, actor, content }: Request, death: Death): Verdict {
    const held = this.held.get(name)
    if (held?.lock === lock && held.actor === actor) {
      return held.content === content ? { repeat: held.token } : { refuse: 'IDEMPOTENCY_MISMATCH' }
    }
    const ended = this.ended.get(name)
    if (ended?.lock === lock && name.startsWith('project:')) return { refuse: 'RUN_LOCK_RELEASED' }
    if (ended?.lock === lock && ended.actor === actor) return { refuse: 'LOCK_ENDED' }
    return held !== undefined && !this.isOrphan(held, death) ? { refuse: 'LOCK_CONTENTION' } : 'append'
  }

  /** `wasGranted`: the ledger knows that this lock_id was granted to this actor. */
  renew(name: string, lock: number, actor: string, wasGranted: boolean): Verdict {
    const held = this.held.get(name)
    if (!wasGranted) return { refuse: 'LOCK_NOT_HELD' }
    if (held?.lock !== lock || held.actor !== actor) return { refuse: 'STALE_TOKEN' }
    return held.lease_ms === null || this.isExpired(held) ? { refuse: 'LEASE_EXPIRED' } : 'append'
  }

  release(name: string, lock: number, actor: string): Verdict {
    const held = this.held.get(name)
    if (held?.lock === lock && held.actor === actor) return 'append'
    const ended = this.ended.get(name)
    const isOwn = ended?.lock === lock && ended.actor === actor && ended.isReleased
    return isOwn ? { repeat: ended.seq } : { refuse: 'LOCK_NOT_HELD' }
  }

  releaseProject(name: string, lock: number): Verdict {
    if (this.held.get(name)?.lock === lock) return 'append'
    const ended = this.ended.get(name)
    return ended?.lock === lock && ended.isReleased ? { repeat: ended.seq } : { refuse: 'LOCK_NOT_HELD' }
  }

  recover(name: string, death: Death): Verdict {
    const held = this.held.get(name)
    return held !== undefined && this.isOrphan(held, death) ? 'append' : { refuse: 'LOCK_NOT_ORPHAN' }
  }

  break(name: string, isOperator: boolean): Verdict {
    if (!isOperator) return { refuse: 'RELEASE_DENIED' }
    return this.held.has(name) ? 'append' : { refuse: 'LOCK_NOT_HELD' }
  }

  retire(name: string, death: Death): Verdict {
    const held = this.held.get(name)
    const retired = this.retired.get(name)
    if (retired !== undefined) return { repeat: retired }
    return held !== undefined && !this.isOrphan(held, death) ? { refuse: 'LOCK_IS_HELD' } : 'append'
  }

  guard(name: string, token: number): Verdict {
    const held = this.held.get(name)
    if (held?.token !== token) return { refuse: 'STALE_TOKEN' }
    return this.isExpired(held) ? { refuse: 'LEASE_EXPIRED' } : 'append'
  }

  granted(name: string, held: Held): void {
    this.held.set(name, held)
    this.retired.delete(name)
  }

  end(name: string, seq: number, isReleased: boolean): void {
    const held = this.held.get(name)
    if (held === undefined) throw new Error(`${name} is held by nobody and cannot end`)
    this.ended.set(name, { lock: held.lock, actor: held.actor, isReleased, seq })
    this.held.delete(name)
  }
}
