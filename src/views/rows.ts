import type { Row } from '../core/decider.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../log/log.ts'

/**
 * The published row of every stream: what a decision and a query read. Rows used lately stay in memory, in two
 * generations: a full young one becomes the old one, and what is still in use moves back to the young.
 */
export class Rows {
  readonly #log: Log
  #young = new Map<string, Row | undefined>()
  #old = new Map<string, Row | undefined>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Cost: nothing if it was used lately, else one read. */
  get(stream: string): Row | undefined {
    const young = this.#young.get(stream)
    if (young !== undefined || this.#young.has(stream)) return young
    const row = this.#old.has(stream) ? this.#old.get(stream) : this.#log.row(stream)
    this.#keep(stream, row)
    return row
  }

  /** Takes over the rows of a batch that is durable. */
  publish(changed: ReadonlyMap<string, Row>): void {
    for (const [stream, row] of changed) this.#keep(stream, row)
  }

  /** Forgets everything; the next read asks the store. */
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
