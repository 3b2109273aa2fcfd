import { limits } from '../core/limits.ts'
import type { Log } from '../log/log.ts'

/**
 * Sovereign state as it is published, and the objects that entries name: what decisions on turns read, and what
 * queries do. What was used lately stays in memory, in two generations as rows have them.
 */
export class Sovereign {
  readonly #log: Log
  readonly #rows = new Recent<unknown>(limits.stateCacheMax)
  readonly #objects = new Recent<unknown>(limits.objectCacheMax, limits.objectCacheChars)

  constructor(log: Log) {
    this.#log = log
  }

  /** A row by its key. Cost: nothing if it was used lately, else one read. */
  state(key: string): unknown {
    if (this.#rows.has(key)) return this.#rows.get(key)
    const row = this.#log.state(key)
    this.#rows.set(key, row)
    return row
  }

  /** The value of an object, which is the same for ever. Errors: LEDGER_CORRUPT. Cost as of `state`. */
  object(digest: string): unknown {
    if (this.#objects.has(digest)) return this.#objects.get(digest)
    const text = this.#log.objects.text(digest)
    const value: unknown = JSON.parse(text)
    this.keep(digest, value, text.length)
    return value
  }

  /** Takes over a value that was just made, so that it need not be read again. */
  keep(digest: string, value: unknown, chars: number): void {
    this.#objects.set(digest, value, chars)
  }

  /** Takes over what a durable batch changed. */
  publish(changes: ReadonlyMap<string, unknown>): void {
    for (const [key, row] of changes) this.#rows.set(key, row)
  }

  /** Forgets the rows; the next read asks the store. */
  clear(): void {
    this.#rows.clear()
  }
}

/** Values used lately, in two generations: a full young one becomes the old one, and what is in use moves back. */
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
    // Its weight was counted in the generation before; there are no more than two of them.
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
