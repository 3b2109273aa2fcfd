import { LockstepError, messageOf } from '../../errors.ts'
import type { IndexWrite, LogIndex } from '../log-parts.ts'
import { unseal } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { PairReader, StoreBatch } from './store.ts'
import { viewBatch } from './view-write.ts'

/** What the index needs: the log's scans, the generation in force, and a write that takes its turn with the appends. */
export interface IndexGround {
  generation: () => number
  scan: PairReader['scan']
  write: (batch: StoreBatch) => Promise<void>
}

/**
 * The index rows of the generation in force, by the tails of their keys. `views/` derives them from entries and writes
 * them later, never together with an append.
 * Errors: LEDGER_CORRUPT if a row is not as it was written.
 */
export class IndexRows implements LogIndex {
  readonly #ground: IndexGround
  /** Exact counts of index writes. The log counts its own writes separately. */
  readonly counts = { batches: 0, rows: 0 }

  constructor(ground: IndexGround) {
    this.#ground = ground
  }

  /** Pages of tails and values between two tails, in byte order. */
  async *pages(from: Uint8Array, to: Uint8Array, limit = -1): AsyncGenerator<[tail: Buffer, value: Buffer][]> {
    const { generation, scan } = this.#ground
    for await (const page of scan({ ...keys.ranges.index(generation(), from, to), limit })) {
      yield page.map(([key, value]) => [keys.tailOfIndexKey(key), unseal(key, value)])
    }
  }

  /**
   * Writes all of the changes or none, and syncs them. After a failed write no further writes are accepted, as with an
   * append.
   * Errors: LEDGER_UNAVAILABLE.
   */
  async write(writes: readonly IndexWrite[]): Promise<void> {
    const batch = viewBatch(writes, this.#ground.generation())
    await this.#ground.write(batch).catch((cause: unknown) => {
      throw new LockstepError('LEDGER_UNAVAILABLE', `the index could not be written: ${messageOf(cause)}`, {
        hint: 'No recorded data was changed. Make sure that the ledger is writable, then open it again.',
        cause,
      })
    })
    this.counts.batches += 1
    this.counts.rows += writes.length
  }
}
