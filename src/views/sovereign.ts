import { limits } from '../kernel/limits.ts'
import type { Log } from '../log/level/log.ts'

/**
 * The published sovereign state and the objects that entries name, for decisions on turns and for queries. Recently
 * used values stay in memory, in two generations as in `PublishedRows`.
 */
export class Sovereign {
  readonly #log: Log
  readonly #rows = new Recent<unknown>(limits.stateCacheMax)
  readonly #objects = new Recent<unknown>(limits.objectCacheMax, limits.objectCacheChars)

  constructor(log: Log) {
    this.#log = log
  }

  /** A row by its key. Cost: none if it was used recently, otherwise one read. */
  state(key: string): unknown {
    if (this.#rows.has(key)) return this.#rows.get(key)
    const row = this.#log.state(key)
    this.#rows.set(key, row)
    return row
  }

  /** The value of an object, which never changes. Errors: LEDGER_CORRUPT. Cost: see `state`. */
  object(digest: string): unknown {
    if (this.#objects.has(digest)) return this.#objects.get(digest)
    const text = this.#log.objects.text(digest)
    const value: unknown = JSON.parse(text)
    this.keep(digest, value, text.length)
    return value
  }

  /** Takes over a new value, so that it need not be read again. */
  keep(digest: string, value: unknown, chars: number): void {
    this.#objects.set(digest, value, chars)
  }

  /** Takes over the changes of a durable batch. */
  publish(changes: ReadonlyMap<string, unknown>): void {
    for (const [key, row] of changes) this.#rows.set(key, row)
  }

  /** Forgets the rows; the next read uses the store. */
  clear(): void {
    this.#rows.clear()
  }
}

/**
 * Recently used values, in two generations: when the young one is full it becomes the old one, and values still in
 * use move back.
 */
class Recent<V> {
  #young = new Map<string, V>()
  #old = new Map<string, V>()
  #weight = 0
  readonly #countMax: number
  readonly #weightMax: number

  constructor(countMax: number, weightMax = Number.POSITIVE_INFINITY) {
    this.#countMax = countMax
    this.#weightMax = weightMax
  }

  has(key: string): boolean {
    if (this.#young.has(key)) return true
    if (!this.#old.has(key)) return false
    // Its weight was counted in the previous generation, and there are at most two generations.
    this.set(key, this.#old.get(key) as V)
    return true
  }

  get(key: string): V | undefined {
    return this.#young.get(key)
  }

  set(key: string, value: V, weight = 0): void {
    if (this.#young.size >= this.#countMax / 2 || this.#weight + weight > this.#weightMax / 2) {
      this.#old = this.#young
      this.#young = new Map()
      this.#weight = 0
    }
    this.#weight += weight
    this.#young.set(key, value)
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#weight = 0
  }
}
