import { Level } from 'level'

const valueBytes = 400
const keyBytes = 9

/**
 * The yardstick of every ratio: raw LevelDB with one 400-byte put for each entry, in chained batches with one put for
 * each caller. Each batch is synced. This is the least work that records entries durably on this disk.
 */
export class Yardstick {
  readonly #level: Level<Uint8Array, Uint8Array>
  readonly #value = Buffer.alloc(valueBytes, 1)
  #seq = 0

  private constructor(level: Level<Uint8Array, Uint8Array>) {
    this.#level = level
  }

  static async open(folder: string): Promise<Yardstick> {
    const level = new Level<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' })
    await level.open()
    return new Yardstick(level)
  }

  /** Writes this many entries, `inBatch` at a time, and resolves with entries per second. */
  async write(entries: number, inBatch: number): Promise<number> {
    const started = performance.now()
    for (let done = 0; done < entries; done += inBatch) {
      const batch = this.#level.batch()
      for (let index = 0; index < inBatch; index += 1) batch.put(this.#nextKey(), this.#value)
      await batch.write({ sync: true })
    }
    return (entries / (performance.now() - started)) * 1000
  }

  close(): Promise<void> {
    return this.#level.close()
  }

  #nextKey(): Uint8Array {
    const key = Buffer.alloc(keyBytes)
    key.writeUIntBE(this.#seq, keyBytes - 6, 6)
    this.#seq += 1
    return key
  }
}
