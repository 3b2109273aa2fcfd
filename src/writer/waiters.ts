import { pathLine, streamOf, streamOfPaths } from '../domain/lock/names.ts'
import { excludes, type PathsAsked } from '../domain/lock/paths/path.ts'
import type { LockState } from '../domain/lock/state.ts'
import type { LockstepError } from '../errors.ts'
import { onAbort } from '../kernel/abort.ts'
import { leaseRemainingMillis, type Now } from '../kernel/clock.ts'
import type { Refusal } from '../kernel/decider.ts'
import { given } from '../kernel/given.ts'
import { limits } from '../kernel/limits.ts'
import type { Views } from '../views/views.ts'
import { gaveUp } from './gave-up.ts'
import type { Item, Line, Waiter } from './submission.ts'

interface Hooks {
  leave: (waiter: Waiter, error: LockstepError | undefined) => void
  poke: (stream: string) => void
}

/** A batch's changes to the lines: the previous lines, and the waiters that joined, left or were called in. */
export interface LineChanges {
  before: Map<string, readonly Waiter[]>
  joined: Waiter[]
  left: Waiter[]
  calledIn: Waiter[]
}

const noChanges = (): LineChanges => ({ before: new Map(), joined: [], left: [], calledIn: [] })

/**
 * The lines of waiting callers, one per lock, and one for all paths. In the line for paths, a caller waits behind those in
 * front of it whose requests exclude its own, and passes the others. The lines are kept only in memory: a restart refuses all waiters,
 * and each retries with the same lock_id. Joining, being called in, leaving and the end of a lease are steps of the sequencer,
 * so they are decided in order. A batch's changes are kept once it is durable, or else undone.
 */
export class Waiters {
  readonly #lines = new Map<string, readonly Waiter[]>()
  /** The changes of the current batch. */
  #changes = noChanges()
  readonly #expiries = new Map<string, NodeJS.Timeout>()
  readonly #hooks: Hooks
  #count = 0

  constructor(hooks: Hooks) {
    this.#hooks = hooks
  }

  /** Puts a refused acquire at the end of its lock's line. Returns false if there are too many waiters. */
  add(item: Item, refusal: Refusal): boolean {
    const { command, line } = item
    if (command.type !== 'lock.acquire' || line === undefined) return false
    const stream = command.paths === undefined ? streamOf(command.name) : pathLine
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

  /** How many callers wait for any lock. */
  get count(): number {
    return this.#count
  }

  /** Whether no caller waits for any lock. */
  get isEmpty(): boolean {
    return this.#lines.size === 0
  }

  /**
   * The waiters that no other is in front of, in the order of the line. There is none while a waiter is called in. Cost:
   * for paths, each waiter is compared with those in front of it.
   */
  due(stream: string): Waiter[] {
    const line = this.#line(stream)
    if (stream !== pathLine) return line[0]?.isServed ? [] : line.slice(0, 1)
    return line.filter((waiter, at) => !line.slice(0, at).some((front) => isInFront(front, askedBy(waiter))))
  }

  /** Calls a waiter in. The waiter claims the lock itself and keeps its place until `endTurn`. */
  callIn(waiter: Waiter): void {
    waiter.isServed = true
    this.#changes.calledIn.push(waiter)
  }

  /** Other waiters of the same acquisition: its caller repeated the request before the first answer. */
  twinsOf(stream: string, { actor, command }: Item): Waiter[] {
    const ref = command.type === 'lock.acquire' ? command.lock_ref : undefined
    return this.#line(stream).filter(({ isServed, item }) => {
      const isTwin = item.command.type === 'lock.acquire' && item.command.lock_ref === ref
      return isTwin && !isServed && item.actor.actor_id === actor.actor_id
    })
  }

  /**
   * The number of waiters in front of this place in line, or in front of a new caller: for paths, of those whose requests
   * exclude the caller's.
   */
  inFrontOf(stream: string, line: Line | undefined, asked?: PathsAsked): number {
    const waiters = this.#lines.get(stream)
    if (waiters === undefined) return 0
    const own = line === undefined ? -1 : waiters.findIndex((waiter) => waiter.item.line === line)
    const inFront = own === -1 ? waiters : waiters.slice(0, own)
    return asked === undefined ? inFront.length : inFront.filter((waiter) => isInFront(waiter, asked)).length
  }

  /** How many callers wait for a lock, or for paths that a request for `asked` would wait behind, and which is first. */
  lineOf(
    stream: string,
    asked?: PathsAsked,
  ): { waiting: number; first_waiting?: { actor_id: string; authn?: string; holder: string } } {
    const all = this.#line(stream)
    const line = asked === undefined ? all : all.filter((waiter) => isInFront(waiter, asked))
    const { actor, command } = line[0]?.item ?? {}
    if (actor === undefined || command?.type !== 'lock.acquire') return { waiting: line.length }
    const { actor_id, authn } = actor
    return { first_waiting: { actor_id, ...given({ authn }), holder: command.holder }, waiting: line.length }
  }

  /** Whether a waiter is in its line. */
  has(waiter: Waiter): boolean {
    return this.#line(waiter.stream).includes(waiter)
  }

  /** Removes a waiter from its line. Returns false if it is no longer in line. */
  remove(waiter: Waiter): boolean {
    const line = this.#line(waiter.stream)
    const others = line.filter((other) => other !== waiter)
    if (others.length === line.length) return false
    this.#change(waiter.stream, others)
    this.#changes.left.push(waiter)
    return true
  }

  /** Ends the call of a called-in waiter, successful or not. Then the next waiter is served. */
  endTurn(stream: string, line: Line): void {
    const waiter = this.#line(stream).find(({ item }) => item.line === line)
    if (waiter !== undefined) this.#hooks.leave(waiter, undefined)
  }

  /** Ends a batch. Returns its changes, to be kept or undone later. */
  endBatch(): LineChanges {
    const changes = this.#changes
    this.#changes = noChanges()
    return changes
  }

  /** The batch is durable: stops the timers of waiters that left, and of lines that are empty now. */
  keep({ before, left }: LineChanges): void {
    for (const waiter of left) letGo(waiter)
    for (const stream of before.keys()) if (!this.#lines.has(stream)) this.#disarm(stream)
  }

  /** The batch is void, and so are all later ones: restores the lines as they were before it. */
  undo({ before, joined, calledIn }: LineChanges): void {
    for (const [stream, line] of before) this.#set(stream, line)
    for (const waiter of joined) letGo(waiter)
    for (const waiter of calledIn) waiter.isServed = false
  }

  /** Sets a timer for each line, for the end of the first lease that it waits for. */
  async armExpiry(views: Views, nowIs: () => Now): Promise<void> {
    for (const stream of this.#lines.keys()) {
      let millis = Number.POSITIVE_INFINITY
      for (const awaited of this.#awaited(stream)) {
        const found = views.row(awaited)
        const row = found instanceof Promise ? await found : found
        const grant = (row?.state as LockState | undefined)?.grant ?? null
        const remaining = grant === null ? null : leaseRemainingMillis(grant, nowIs())
        millis = Math.min(millis, remaining ?? Number.POSITIVE_INFINITY)
      }
      this.#disarm(stream)
      if (millis < Number.POSITIVE_INFINITY && this.#lines.has(stream)) {
        millis = Math.min(Math.max(millis, 1), timerMillisMax)
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

  /**
   * The streams of the grants that a line waits for. While a waiter is called in, no other is served: the line is checked
   * again when that turn ends. A waiter for paths that no other is in front of waits for the grant that its last refusal
   * named.
   */
  #awaited(stream: string): Set<string> {
    if (stream !== pathLine) return new Set(this.due(stream).map((waiter) => waiter.stream))
    const refs = this.due(stream).map(({ refusal: { details } }) => details.lock_ref)
    return new Set(refs.flatMap((ref) => (typeof ref === 'string' ? [streamOfPaths(ref)] : [])))
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

function askedBy({ item: { command } }: Waiter): PathsAsked | undefined {
  return command.type === 'lock.acquire' ? command.paths : undefined
}

/** Whether a caller that asks for paths has to wait behind a waiter. */
function isInFront(waiter: Waiter, asked: PathsAsked | undefined): boolean {
  const wanted = askedBy(waiter)
  return wanted === undefined || asked === undefined || excludes(wanted, asked)
}

function letGo({ stopListening, timer }: Waiter): void {
  clearTimeout(timer)
  stopListening()
}

/** Timers stop while the machine is suspended, but leases go on. So each line is checked at least this often. */
const timerMillisMax = 10_000
