import type { Row } from '../kernel/decider.ts'
import { limits } from '../kernel/limits.ts'
import type { Log } from '../log/level/log.ts'

/**
 * The published row of every stream, for decisions and queries. Recently used rows stay in memory, in two
 * generations: when the young one is full it becomes the old one, and rows still in use move back to the young one.
 */
export class PublishedRows {
  readonly #log: Log
  #young = new Map<string, Row | undefined>()
  #old = new Map<string, Row | undefined>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Cost: none if the row was used recently, otherwise one read. */
  get(stream: string): Row | undefined {
    const young = this.#young.get(stream)
    if (young !== undefined || this.#young.has(stream)) return young
    const row = this.#old.has(stream) ? this.#old.get(stream) : this.#log.row(stream)
    this.#keep(stream, row)
    return row
  }

  /** Takes over the rows of a durable batch. */
  publish(changed: ReadonlyMap<string, Row>): void {
    for (const [stream, row] of changed) this.#keep(stream, row)
  }

  /** Forgets all rows; the next read uses the store. */
  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }

  #keep(stream: string, row: Row | undefined): void {
    if (this.#young.size >= limits.rowCacheMax / 2) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(stream, row)
  }
}
