import { leaseRemainingMillis, type Now } from '../core/clock.ts'
import type { Refusal } from '../core/decider.ts'
import { limits } from '../core/limits.ts'
import { streamOf } from '../core/lock/names.ts'
import type { Grant } from '../core/lock/state.ts'
import { LockstepError } from '../errors.ts'
import { onAbort } from './abort.ts'
import type { Item, Line, Waiter } from './submission.ts'

interface Hooks {
  leave: (waiter: Waiter, error: LockstepError | undefined) => void
  poke: (stream: string) => void
}

/** What a batch changed: its lines as they were before, and who joined, left or was called in. */
export interface LineChanges {
  before: Map<string, readonly Waiter[]>
  joined: Waiter[]
  left: Waiter[]
  calledIn: Waiter[]
}

const noChanges = (): LineChanges => ({ before: new Map(), joined: [], left: [], calledIn: [] })

/**
 * Who waits for which lock, in order. It lives in memory: a restart refuses everyone, and each comes back with
 * the same lock_id. Joining, being called in, leaving and the end of a lease are turns of the sequencer, so they are
 * decided in order too; what a batch changed in the lines is kept once it is durable, or undone.
 */
export class Waiters {
  readonly #lines = new Map<string, readonly Waiter[]>()
  /** What the batch under way has changed. */
  #changes = noChanges()
  readonly #expiries = new Map<string, NodeJS.Timeout>()
  readonly #hooks: Hooks
  #count = 0

  constructor(hooks: Hooks) {
    this.#hooks = hooks
  }

  /** Puts a refused acquire at the end of its lock's line; false where there are too many waiters already. */
  add(item: Item, refusal: Refusal): boolean {
    const { command, line } = item
    if (command.type !== 'lock.acquire' || line === undefined) return false
    const stream = streamOf(command.name)
    if (this.#count >= limits.waitersMax) return false
    const leave = (code: 'ABORTED' | 'TIMED_OUT') =>
      this.#hooks.leave(waiter, gaveUp(code, waiter.refusal, line.waitMillis))
    const abort = () => leave('ABORTED')
    const timer = setTimeout(() => leave('TIMED_OUT'), line.waitMillis)
    const stopListening = line.signal === undefined ? () => {} : onAbort(line.signal, abort)
    const waiter: Waiter = { item, stream, refusal, isServed: false, timer, stopListening }
    this.#change(stream, [...this.#line(stream), waiter])
    this.#changes.joined.push(waiter)
    if (line.signal?.aborted) abort()
    return true
  }

  /** Nobody waits for any lock. */
  get isEmpty(): boolean {
    return this.#lines.size === 0
  }

  /** The one to be served next; none while somebody was called in. */
  first(stream: string): Waiter | undefined {
    const first = this.#lines.get(stream)?.[0]
    return first?.isServed ? undefined : first
  }

  /** Calls a waiter in, who claims the lock for itself and keeps its place until `endTurn`. */
  callIn(waiter: Waiter): void {
    waiter.isServed = true
    this.#changes.calledIn.push(waiter)
  }

  /** Other waiters of the same acquisition: its caller came again before the first answer. */
  twinsOf(stream: string, { actor, command }: Item): Waiter[] {
    const ref = command.type === 'lock.acquire' ? command.lock_ref : undefined
    return this.#line(stream).filter(({ isServed, item }) => {
      const isTwin = item.command.type === 'lock.acquire' && item.command.lock_ref === ref
      return isTwin && !isServed && item.actor.actor_id === actor.actor_id
    })
  }

  /** How many stand before a newcomer, or before the caller whose place this is. */
  inFrontOf(stream: string, line: Line | undefined): number {
    const waiters = this.#lines.get(stream)
    if (waiters === undefined) return 0
    const own = line === undefined ? -1 : waiters.findIndex((waiter) => waiter.item.line === line)
    return own === -1 ? waiters.length : own
  }

  /** Takes a waiter out of its line; false if it is in none any more. */
  remove(waiter: Waiter): boolean {
    const line = this.#line(waiter.stream)
    const others = line.filter((other) => other !== waiter)
    if (others.length === line.length) return false
    this.#change(waiter.stream, others)
    this.#changes.left.push(waiter)
    return true
  }

  /** Ends the turn of a caller who was called in, whatever became of it; the next one is served then. */
  endTurn(stream: string, line: Line): void {
    const waiter = this.#line(stream).find(({ item }) => item.line === line)
    if (waiter !== undefined) this.#hooks.leave(waiter, undefined)
  }

  /** Ends a batch: what it changed, to be kept or undone later. */
  endBatch(): LineChanges {
    const changes = this.#changes
    this.#changes = noChanges()
    return changes
  }

  /** The batch is durable: who left a line is let go of. */
  keep({ before, left }: LineChanges): void {
    for (const waiter of left) letGo(waiter)
    for (const stream of before.keys()) if (!this.#lines.has(stream)) this.#disarm(stream)
  }

  /** The batch is void and will be decided again, as all after it: the lines are as they were before it. */
  undo({ before, joined, calledIn }: LineChanges): void {
    for (const [stream, line] of before) this.#set(stream, line)
    for (const waiter of joined) letGo(waiter)
    for (const waiter of calledIn) waiter.isServed = false
  }

  /** For every line: a timer for the moment at which the lease it waits behind runs out. */
  armExpiry(grantOf: (stream: string) => Grant | null, nowIs: () => Now): void {
    if (this.#lines.size === 0) return
    const now = nowIs()
    for (const stream of this.#lines.keys()) {
      // While somebody is called in, nobody is served; when that turn ends, the line is looked at anyway.
      const grant = this.first(stream) === undefined ? null : grantOf(stream)
      const remaining = grant === null ? null : leaseRemainingMillis(grant, now)
      this.#disarm(stream)
      if (remaining !== null) {
        const millis = Math.min(Math.max(remaining, 1), timerMillisMax)
        this.#expiries.set(
          stream,
          setTimeout(() => this.#hooks.poke(stream), millis),
        )
      }
    }
  }

  refuseAll(error: LockstepError): void {
    for (const waiter of [...this.#lines.values()].flat()) {
      this.remove(waiter)
      waiter.item.reject(error)
    }
    this.keep(this.endBatch())
  }

  #line(stream: string): readonly Waiter[] {
    return this.#lines.get(stream) ?? []
  }

  #change(stream: string, line: readonly Waiter[]): void {
    const { before } = this.#changes
    if (!before.has(stream)) before.set(stream, this.#line(stream))
    this.#set(stream, line)
  }

  #set(stream: string, line: readonly Waiter[]): void {
    this.#count += line.length - this.#line(stream).length
    if (line.length > 0) this.#lines.set(stream, line)
    else this.#lines.delete(stream)
  }

  #disarm(stream: string): void {
    clearTimeout(this.#expiries.get(stream))
    this.#expiries.delete(stream)
  }
}

function letGo({ stopListening, timer }: Waiter): void {
  clearTimeout(timer)
  stopListening()
}

/** While a machine is suspended its timers stand still and leases run on, so a line is looked at this often. */
const timerMillisMax = 10_000

/** The end of a wait that came to nothing, with the report of what it waited behind. */
export function gaveUp(
  code: 'ABORTED' | 'TIMED_OUT',
  { details, message }: Pick<Refusal, 'details' | 'message'>,
  waitMillis: number,
): LockstepError {
  const seconds = Math.round(waitMillis / 1000)
  const why = code === 'TIMED_OUT' ? `it did not become free within ${seconds} s` : 'the caller gave up waiting'
  return new LockstepError(code, `${message}; ${why}`, { details, hint: 'Come back with the same lock_id.' })
}

/**
 * Where contention is recorded, so is the end of a wait that came to nothing, under the code that it is answered with.
 */
export function recordOfWaiting(
  { refusal: { record } }: Waiter,
  { code, message }: LockstepError,
): Pick<Refusal, 'record'> {
  if (record === undefined || code !== 'TIMED_OUT') return {}
  return { record: { ...record, data: { ...record.data, code, message } } }
}
