import type { Evidence } from '../../../src/domain/lock/liveness.ts'
import type { Decision } from '../../../src/kernel/decider.ts'
import type { Actor } from '../../../src/kernel/ids.ts'
import type { Machines, Process, Shown } from './machines.ts'

/** A grant as the model keeps it: when it truly began, and which processes truly hold it. */
export interface Held {
  token: number
  lock: number
  actor: string
  lease_ms: number | null
  content: string
  since: number
  /** How far the wall clock was off when it began. */
  wallOffset: number
  /** What the clocks showed when it began, and when it was judged. */
  began: Shown
  judged?: { wallOffset: number; shown: Shown }
  processes: readonly Process[]
  /** What the clocks showed when its processes were recorded. */
  evidence: Shown
}

/** What a caller asks for; the same request has the same lock, actor and content. */
export interface Request {
  lock: number
  actor: string
  content: string
}

/** A request that was made: who asked for which lock, from which processes. */
export interface Asked extends Request {
  /** What was seen of its processes when it first asked, and what the clocks showed then. */
  evidence: Evidence[]
  seen: Shown
  name: string
  who: Actor
  lease_s: number
  processes: Process[]
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

/** What a decision of the deciders is, in the same words. */
export function verdictOf(decision: Decision): Verdict {
  if (decision.kind === 'append') return 'append'
  return decision.kind === 'repeat' ? { repeat: decision.seq } : { refuse: decision.code }
}

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

  isExpired({ began, judged, lease_ms }: Held): boolean {
    if (lease_ms === null) return false
    return this.#counted(began) >= lease_ms || (judged !== undefined && this.#counted(judged.shown) >= lease_ms)
  }

  /** Neither the grant nor a judgement of it says that it ends within its length. */
  needsJudgement({ began, judged, lease_ms }: Held): boolean {
    if (lease_ms === null) return false
    const [least, ...others] = [began, ...(judged === undefined ? [] : [judged.shown])].map((shown) =>
      this.#counted(shown),
    )
    return Math.max(least ?? 0, ...others) < -1_000
  }

  /** Whether one clock showed both moments: one boot, one time namespace, both known, and no snapshot was restored. */
  isCompared(then: Shown): boolean {
    const now = this.#machines.shown()
    if (then.boot === undefined || then.boot !== now.boot) return false
    return then.timeNs !== undefined && then.timeNs === now.timeNs && now.awake >= then.awake
  }

  /** What a judge may count since a moment; all that it cannot know counts for the holder. */
  #counted(then: Shown): number {
    const now = this.#machines.shown()
    const [awake, uptime, wall] = [now.awake - then.awake, now.uptime - then.uptime, now.wall - then.wall]
    if (this.isCompared(then)) {
      const isConfirmed = uptime >= 0 && Math.abs(wall - uptime) <= 250 + uptime * 0.001
      return isConfirmed ? Math.max(awake, uptime) : awake
    }
    const isKnown = then.boot !== undefined && now.boot !== undefined
    const counts = [wall]
    const isOneBoot = isKnown && then.boot === now.boot
    if (isKnown && !isOneBoot && then.host === now.host) counts.push(now.awake)
    else if ((isOneBoot || then.host === now.host) && awake >= 0) counts.push(awake)
    return Math.min(...counts)
  }

  /** Every process of the holder can be known to be dead, from where the ledger's process stands. */
  isKnownDead(held: Held): boolean {
    return held.processes.length > 0 && held.processes.every((process) => this.#isSeenDead(process, held))
  }

  #isSeenDead(process: Process, { began, evidence }: Held): boolean {
    const { ledger } = this.#machines
    const now = this.#machines.shown()
    if (process.host !== ledger.host || evidence.boot === undefined || now.boot === undefined) return false
    const isTimed = evidence.timeNs === now.timeNs
    const occupant = this.#machines.occupant(process.host, process.ns, process.pid)
    const isOther = isTimed && process.isReadable && occupant?.isReadable === true && occupant.start !== process.start
    if (evidence.boot !== now.boot) {
      const isOuter = process.ns === 0 && ledger.ns === 0 && isTimed && now.timeNs === 'time:[4026531834]'
      return isOuter && (occupant === undefined || isOther) && began.wall < now.wall - Math.max(now.awake, now.uptime)
    }
    if (process.ns !== ledger.ns) return false
    if (occupant === undefined) return true
    // An occupant of the number that cannot be read may be the holder; and one without a known start always may.
    if (!occupant.isReadable) return false
    return occupant.isZombie || (process.isReadable && isTimed && occupant !== process)
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
