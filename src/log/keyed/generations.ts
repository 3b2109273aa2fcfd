import { invariant } from '../../errors.ts'
import type { Key, ViewWrite } from '../log.ts'
import { decode, encode } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { Store, StoreBatch } from './store.ts'
import { viewBatch } from './view-write.ts'

/** The row that claims a generation for one rebuild. The switch to that generation deletes it. */
const claimName = ' rebuild'

/**
 * What the generations need: the number of the generation in force, and a write that takes its turn with the appends.
 */
export interface GenerationsGround {
  inForce: () => number
  write: (batch: StoreBatch) => Promise<void>
}

interface ClearOptions {
  /** The generation whose claim is kept. */
  claimed?: number
  from?: Uint8Array | undefined
  until?: number
}

/**
 * Views of generations that are not in force: rows, receipts, sovereign state and index. A rebuild fills one and then
 * switches to it (`Log.switchTo`). Only the rebuild with the latest claim fills a generation.
 */
export class Generations {
  readonly #store: Store
  readonly #ground: GenerationsGround

  constructor(store: Store, ground: GenerationsGround) {
    this.#store = store
    this.#ground = ground
  }

  /** The value under a key of a generation; stored rows as they are stored. */
  get(generation: number, { key, view }: Extract<Key, { view: 'row' | 'state' }>): unknown {
    const at = view === 'row' ? keys.rowKey(generation, key) : keys.stateKey(generation, key)
    const value = this.#store.get(at)
    return value === undefined ? undefined : decode(at, value)
  }

  /** Writes rows to a generation. */
  async fill(generation: number, views: readonly ViewWrite[]): Promise<void> {
    this.#assertNotInForce(generation)
    await this.#ground.write(viewBatch(views, generation))
  }

  /** All stored pairs of a generation, in pages. */
  async *pairs(generation: number): AsyncGenerator<[Uint8Array, Uint8Array][]> {
    for (const range of keys.ranges.generation(generation)) yield* this.#store.scan(range)
  }

  /** Writes pairs that `pairs` returned for the same generation of another log. */
  async copy(generation: number, pairs: readonly [Uint8Array, Uint8Array][]): Promise<void> {
    this.#assertNotInForce(generation)
    await this.#ground.write({ puts: pairs.map(([key, value]) => ({ key, value })), deletes: [] })
  }

  /**
   * Deletes all rows of the given generations, except one claim. It stops after the batch in which a deadline of
   * `performance.now()` passes, so it always deletes at least one batch. It resolves with the key to continue from,
   * because scanning deleted keys is slow. At the end it resolves with undefined.
   */
  async clear(
    generations: readonly number[],
    { claimed, from, until = Number.POSITIVE_INFINITY }: ClearOptions = {},
  ): Promise<Uint8Array | undefined> {
    for (const generation of generations) this.#assertNotInForce(generation)
    const kept = claimed === undefined ? Buffer.alloc(0) : keys.stateKey(claimed, claimName)
    const ranges = generations
      .flatMap(keys.ranges.generation)
      .sort((left, right) => Buffer.compare(left.gte, right.gte))
    for (const { gte, lt } of ranges) {
      if (from !== undefined && Buffer.compare(lt, from) <= 0) continue
      const start = from !== undefined && Buffer.compare(gte, from) < 0 ? from : gte
      for await (const page of this.#store.scan({ gte: start, lt })) {
        const deletes = page.map(([key]) => key).filter((key) => !kept.equals(key))
        if (deletes.length > 0) await this.#ground.write({ puts: [], deletes })
        const last = page.at(-1)?.[0] ?? start
        if (performance.now() >= until) return Buffer.concat([last, Buffer.of(0)])
      }
    }
    return undefined
  }

  /** The nonce of the process that claimed a generation; undefined if it is not claimed. */
  claimOf(generation: number): string | undefined {
    const key = keys.stateKey(generation, claimName)
    const value = this.#store.get(key)
    return value === undefined ? undefined : decode<string>(key, value)
  }

  /** Claims a generation, and replaces any earlier claim. */
  async claim(generation: number, nonce: string): Promise<void> {
    this.#assertNotInForce(generation)
    const key = keys.stateKey(generation, claimName)
    await this.#ground.write({ puts: [{ key, value: encode(key, nonce) }], deletes: [] })
  }

  /** The claim keys that the switch to a generation deletes. */
  claimKeys(generation: number): Uint8Array[] {
    return this.claimOf(generation) === undefined ? [] : [keys.stateKey(generation, claimName)]
  }

  #assertNotInForce(generation: number): void {
    invariant(generation !== this.#ground.inForce(), 'the generation in force is never filled or cleared')
  }
}
