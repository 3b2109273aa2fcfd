import type { Entry } from '../kernel/entry.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import { unseal } from '../log/keyed/rows/codec.ts'
import type { StoredHead } from '../log/keyed/rows/head-row.ts'
import * as keys from '../log/keyed/rows/keys.ts'
import type { StoreReader } from '../log/keyed/store.ts'
import { type IndexChange, IndexDerivation } from '../views/index-derivation.ts'
import { blockEntries, cursorTail, isMovable, numberAt } from '../views/index-keys.ts'

/**
 * Derives the index again from the entries below its cursor, and compares the stored rows. Each expected row is read;
 * the number of rows shows that there are no others. Memory: the runs that have not ended.
 * Errors: VERIFY_FAILED (`index`).
 */
export class IndexComparison implements Check {
  readonly #reader: StoreReader
  readonly #head: StoredHead
  /** The number of entries that the index was derived from. */
  readonly cursor: number
  readonly #derivation = new IndexDerivation()
  /** Rows that a later entry may still move, by tail. */
  readonly #movable = new Map<string, IndexChange>()
  #compared = 0

  constructor(reader: StoreReader, head: StoredHead) {
    this.#reader = reader
    this.#head = head
    const stored = this.#stored(cursorTail)
    this.cursor = stored === undefined ? 0 : numberAt(stored)
    if (stored !== undefined) this.#compared += 1
    if (this.cursor > head.size) {
      throw differs('index', `the index was derived from ${this.cursor} entries, the ledger has ${head.size}`)
    }
  }

  entry(entry: Entry): void {
    if (entry.seq >= this.cursor) return
    this.#derivation.next(entry)
    if ((entry.seq + 1) % blockEntries === 0) this.#compare(entry.seq)
  }

  /** Called after the last entry. */
  end({ index: found }: Pick<Found, 'index'>): void {
    this.#compare(Math.max(0, this.cursor - 1))
    for (const change of this.#movable.values()) this.#compareRow(change, this.cursor - 1)
    if (found === this.#compared) return
    throw differs('index', `the store has ${found} rows of the index, but the entries give ${this.#compared}`)
  }

  #compare(seq: number): void {
    for (const change of this.#derivation.take()) {
      const tail = change.tail.toString('latin1')
      if (change.value === undefined) this.#movable.delete(tail)
      else if (isMovable(change.tail)) this.#movable.set(tail, change)
      else this.#compareRow(change, seq)
    }
  }

  #compareRow({ tail, value }: IndexChange, seq: number): void {
    const stored = this.#stored(tail)
    if (stored === undefined || value === undefined || Buffer.compare(stored, value) !== 0) {
      throw differs('index', `the index of the entries up to ${seq} differs`, { seq: seq - (seq % blockEntries) })
    }
    this.#compared += 1
  }

  #stored(tail: Uint8Array): Buffer | undefined {
    const key = keys.indexKey(this.#head.generation, tail)
    const value = this.#reader.get(key)
    return value === undefined ? undefined : unseal(key, value)
  }
}
