import type { Range, Store, StoreBatch } from '../../src/log/keyed/store.ts'

/** A store in memory, in which a test looks and changes what it likes. Pages are as small as a test wants. */
export class MemoryStore implements Store {
  /** Values by the hex of their key. */
  readonly pairs = new Map<string, Uint8Array>()
  readonly batches: StoreBatch[] = []
  readonly pageMax: number
  settled = 0

  constructor(pairs: Iterable<[string, Uint8Array]> = [], pageMax = 512) {
    for (const [key, value] of pairs) this.pairs.set(key, value)
    this.pageMax = pageMax
  }

  /** A store with the same pairs that goes its own way. */
  copy(): MemoryStore {
    return new MemoryStore(this.pairs, this.pageMax)
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.pairs.get(hexOf(key))
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.pairs.set(hexOf(key), value)
  }

  delete(key: Uint8Array): void {
    this.pairs.delete(hexOf(key))
  }

  async checkFiles(): Promise<void> {}

  async write(batch: StoreBatch): Promise<void> {
    this.batches.push(batch)
    for (const { key, value } of batch.puts) this.put(key, value)
    for (const key of batch.deletes) this.delete(key)
  }

  // The hex of two keys stands in the order of their bytes.
  async *scan({ gte, lt, limit = -1, reverse = false }: Range): AsyncGenerator<[Uint8Array, Uint8Array][]> {
    const [from, to] = [hexOf(gte), hexOf(lt)]
    const keys = [...this.pairs.keys()].filter((key) => from <= key && key < to).sort()
    if (reverse) keys.reverse()
    if (limit >= 0) keys.splice(limit)
    const pairs = keys.map((key): [Uint8Array, Uint8Array] => [
      Buffer.from(key, 'hex'),
      this.pairs.get(key) ?? Buffer.alloc(0),
    ])
    while (pairs.length > 0) yield pairs.splice(0, this.pageMax)
  }

  snapshot() {
    return this.copy()
  }

  async flush(): Promise<void> {}

  async rewrite(): Promise<boolean> {
    return true
  }

  copyTo(): void {
    throw new Error('a store in memory has no files')
  }

  async settle(): Promise<void> {
    this.settled += 1
  }

  async close(): Promise<void> {}
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
