import { LockstepError, messageOf } from '../errors.ts'
import { unseal } from './codec.ts'
import * as keys from './keys.ts'
import type { StoreBatch, StoreReader } from './store.ts'
import { type IndexWrite, viewBatch } from './view-write.ts'

/**
 * What the rows of an index stand on: the log's reads, the generation in force, and a write in turn with the appends.
 */
export interface IndexGround {
  generation: () => number
  read: (key: Uint8Array) => Uint8Array | undefined
  scan: StoreReader['scan']
  write: (batch: StoreBatch) => Promise<void>
}

/**
 * The rows of the index of the generation in force, by the tails of their keys: what `views/` derives from entries
 * and writes when there is time, never with an append. Errors: LEDGER_CORRUPT for a row that is not what was written.
 */
export class IndexRows {
  readonly #ground: IndexGround
  /** Exact counts of what was written, apart from those of the log. */
  readonly counts = { batches: 0, rows: 0 }

  constructor(ground: IndexGround) {
    this.#ground = ground
  }

  /** Cost: one read. */
  get(tail: Uint8Array): Uint8Array | undefined {
    const { generation, read } = this.#ground
    return read(keys.indexKey(generation(), tail))
  }

  /** Tails and values from one tail up to another, in order of their bytes, in pages. */
  async *pages(from: Uint8Array, to: Uint8Array, limit = -1): AsyncGenerator<[tail: Buffer, value: Buffer][]> {
    const { generation, scan } = this.#ground
    for await (const page of scan({ ...keys.ranges.index(generation(), from, to), limit })) {
      yield page.map(([key, value]) => [keys.tailOfIndexKey(key), unseal(key, value)])
    }
  }

  /**
   * Applies all of the changes or none, synced. Where it fails nothing is written any more, as with an append.
   * Errors: LEDGER_UNAVAILABLE.
   */
  async write(writes: readonly IndexWrite[]): Promise<void> {
    const batch = viewBatch(writes, this.#ground.generation())
    await this.#ground.write(batch).catch((cause: unknown) => {
      throw new LockstepError('LEDGER_UNAVAILABLE', `the index could not be written: ${messageOf(cause)}`, {
        hint: 'Nothing that was recorded is touched. Open the ledger again once it can be written.',
        cause,
      })
    })
    this.counts.batches += 1
    this.counts.rows += writes.length
  }
}
