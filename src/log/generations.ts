import { invariant } from '../errors.ts'
import { decode, encode } from './codec.ts'
import * as keys from './keys.ts'
import type { Store, StoreBatch } from './store.ts'
import { type ViewWrite, viewBatch } from './view-write.ts'

/** Whoever fills a generation claims it by this row, which the switch to it deletes. */
const claimName = ' rebuild'

/** What the generations stand on: the one in force, and a write in turn with the appends. */
export interface GenerationsGround {
  inForce: () => number
  write: (batch: StoreBatch) => Promise<void>
}

interface ClearOptions {
  /** The generation whose claim stays. */
  claimed?: number
  from?: Uint8Array | undefined
  until?: number
}

/**
 * The views of generations that are not in force: rows, receipts, sovereign state and index. A rebuild fills one and
 * switches to it (`Log.switchTo`). One rebuild at a time fills a generation: the last that claimed it.
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
   * Deletes every row of some generations but the claim of one, or as much as it can until a moment of
   * `performance.now()`: at least one batch. Resolves with where to go on, for a scan over what was just deleted is
   * slow; undefined at the end.
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

  /** Who fills a generation; undefined where nobody claimed it. */
  claimOf(generation: number): string | undefined {
    const key = keys.stateKey(generation, claimName)
    const value = this.#store.get(key)
    return value === undefined ? undefined : decode<string>(key, value)
  }

  /** Claims a generation, whoever claimed it before. */
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
