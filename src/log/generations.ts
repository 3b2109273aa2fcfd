import { invariant } from '../errors.ts'
import { decode, encode } from './codec.ts'
import * as keys from './keys.ts'
import type { Range, Store, StoreBatch, StoreReader } from './store.ts'
import { type ViewWrite, viewBatch } from './view-write.ts'

/** Whoever fills a generation claims it by this row, which the switch to it deletes. */
const claimName = ' rebuild'

/** What the generations stand on: the one in force, and a write in turn with the appends. */
export interface GenerationsGround {
  inForce: () => number
  write: (batch: StoreBatch) => Promise<void>
}

const deletesPerBatch = 8_192

/**
 * The views of generations that are not in force: rows, receipts, sovereign state and index. A rebuild fills one and
 * switches to it (`Log.switchTo`). One rebuild at a time fills a generation: the last to claim it, for the claim of
 * the one before is deleted with all else.
 */
export class Generations {
  readonly #store: Store
  readonly #ground: GenerationsGround

  constructor(store: Store, ground: GenerationsGround) {
    this.#store = store
    this.#ground = ground
  }

  /** Writes rows of a generation. */
  async fill(generation: number, views: readonly ViewWrite[]): Promise<void> {
    this.#assertNotInForce(generation)
    await this.#ground.write(viewBatch(views, generation))
  }

  /** The pairs of a generation as they are stored, in pages. */
  async *pairs(generation: number): AsyncGenerator<[Uint8Array, Uint8Array][]> {
    for (const range of keys.ranges.generation(generation)) yield* this.#store.scan(range)
  }

  /** Writes pairs that `pairs` gave of the same generation of another log. */
  async copy(generation: number, pairs: readonly [Uint8Array, Uint8Array][]): Promise<void> {
    this.#assertNotInForce(generation)
    await this.#ground.write({ puts: pairs.map(([key, value]) => ({ key, value })), deletes: [] })
  }

  /**
   * Deletes every row of a generation, or as much as it can until a moment of `performance.now()`: at least one batch.
   * True when all of it is gone.
   */
  async clear(generation: number, until = Number.POSITIVE_INFINITY): Promise<boolean> {
    this.#assertNotInForce(generation)
    for await (const batch of deletesOf(this.#store, keys.ranges.generation(generation))) {
      await this.#ground.write(batch)
      if (performance.now() >= until) return false
    }
    return true
  }

  /** Who fills a generation; undefined where nobody claimed it. */
  claimOf(generation: number): string | undefined {
    const key = keys.stateKey(generation, claimName)
    const value = this.#store.get(key)
    return value === undefined ? undefined : decode<string>(key, value)
  }

  /** Claims an empty generation. */
  async claim(generation: number, nonce: string): Promise<void> {
    this.#assertNotInForce(generation)
    const key = keys.stateKey(generation, claimName)
    await this.#ground.write({ puts: [{ key, value: encode(key, nonce) }], deletes: [] })
  }

  /** What the switch to a generation deletes: its claim, if there is one. */
  claimKeys(generation: number): Uint8Array[] {
    return this.claimOf(generation) === undefined ? [] : [keys.stateKey(generation, claimName)]
  }

  #assertNotInForce(generation: number): void {
    invariant(generation !== this.#ground.inForce(), 'the generation in force is never filled or cleared')
  }
}

/** The deletion of all that stands in some ranges, in batches. */
async function* deletesOf(reader: StoreReader, ranges: readonly Range[]): AsyncGenerator<StoreBatch> {
  for (const range of ranges) {
    let deletes: Uint8Array[] = []
    for await (const page of reader.scan(range)) {
      for (const [key] of page) deletes.push(key)
      if (deletes.length < deletesPerBatch) continue
      yield { puts: [], deletes }
      deletes = []
    }
    if (deletes.length > 0) yield { puts: [], deletes }
  }
}
