import { leaseRemainingMillis, type Now } from '../core/clock.ts'
import type { Refusal } from '../core/decider.ts'
import { limits } from '../core/limits.ts'
import { streamOf } from '../core/lock/names.ts'
import type { Grant } from '../core/lock/state.ts'
import { LockstepError } from '../errors.ts'
import type { Item, Line, Waiter } from './submission.ts'

interface Hooks {
  leave: (waiter: Waiter, error: LockstepError) => void
  poke: (stream: string) => void
}

/**
 * Who waits for which lock, in order. It lives in memory: a restart refuses everyone, and each comes back with
 * the same lock_id. Leaving and the end of a lease are turns of the sequencer, so they are decided in order too.
 */
export class Waiters {
  readonly #lines = new Map<string, Waiter[]>()
  readonly #expiries = new Map<string, NodeJS.Timeout>()
  readonly #hooks: Hooks
  #count = 0

  constructor(hooks: Hooks) {
    this.#hooks = hooks
  }

  /** Streams that somebody waits for. */
  streams(): string[] {
    return [...this.#lines.keys()]
  }

  /** Puts a refused acquire at the end of its lock's line; false where there are too many waiters already. */
  add(item: Item, refusal: Refusal): boolean {
    const { command, line } = item
    if (command.type !== 'lock.acquire' || line === undefined) return false
    const stream = streamOf(command.name)
    if (this.#lines.get(stream)?.some((waiter) => waiter.item === item)) return true
    if (this.#count >= limits.waitersMax) return false
    const leave = (code: 'ABORTED' | 'TIMED_OUT') => this.#hooks.leave(waiter, gaveUp(code, waiter))
    const abort = () => leave('ABORTED')
    const timer = setTimeout(() => leave('TIMED_OUT'), line.waitMillis)
    const waiter: Waiter = { item, stream, refusal, isServed: false, timer, abort }
    line.signal?.addEventListener('abort', abort, { once: true })
    this.#lines.set(stream, [...(this.#lines.get(stream) ?? []), waiter])
    this.#count += 1
    if (line.signal?.aborted) abort()
    return true
  }

  /** The one to be served next; none while somebody was called in. */
  first(stream: string): Waiter | undefined {
    const first = this.#lines.get(stream)?.[0]
    return first?.isServed ? undefined : first
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
    const waiters = this.#lines.get(waiter.stream) ?? []
    const others = waiters.filter((other) => other !== waiter)
    if (others.length === waiters.length) return false
    clearTimeout(waiter.timer)
    waiter.item.line?.signal?.removeEventListener('abort', waiter.abort)
    this.#count -= 1
    if (others.length > 0) this.#lines.set(waiter.stream, others)
    else this.#drop(waiter.stream)
    return true
  }

  /** Ends the turn of a caller who was called in, whatever became of it, and lets the next one be served. */
  endTurn(stream: string, line: Line): void {
    const waiter = this.#lines.get(stream)?.find(({ item }) => item.line === line)
    if (waiter === undefined) return
    this.remove(waiter)
    this.#hooks.poke(stream)
  }

  /** For every line: a timer for the moment at which the lease it waits behind runs out. */
  armExpiry(grantOf: (stream: string) => Grant | null, now: Now): void {
    for (const stream of this.#lines.keys()) {
      const grant = grantOf(stream)
      const remaining = grant === null ? null : leaseRemainingMillis(grant, now)
      clearTimeout(this.#expiries.get(stream))
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
  }

  #drop(stream: string): void {
    this.#lines.delete(stream)
    clearTimeout(this.#expiries.get(stream))
    this.#expiries.delete(stream)
  }
}

const timerMillisMax = 2 ** 31 - 1

function gaveUp(code: 'ABORTED' | 'TIMED_OUT', { item, refusal }: Waiter): LockstepError {
  const seconds = Math.round((item.line?.waitMillis ?? 0) / 1000)
  const why = code === 'TIMED_OUT' ? `it did not become free within ${seconds} s` : 'the caller gave up waiting'
  return new LockstepError(code, `${refusal.message}; ${why}`, {
    details: refusal.details,
    hint: 'Come back with the same lock_id.',
  })
}
