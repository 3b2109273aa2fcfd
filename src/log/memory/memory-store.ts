import { LockstepError } from '../../errors.ts'
import type { Range, Store, StoreBatch, StoreReader, StoreSnapshot } from '../keyed/store.ts'

const pageMax = 512

/** Pairs in memory. A snapshot shares them with its store until the store's next write. */
class Pairs {
  /** Keys are latin1 texts, whose order is that of their bytes. */
  readonly values: Map<string, Uint8Array>
  #sorted: string[]

  constructor(values: Map<string, Uint8Array> = new Map(), sorted: string[] = []) {
    this.values = values
    this.#sorted = sorted
  }

  copy(): Pairs {
    return new Pairs(new Map(this.values), [...this.#sorted])
  }

  apply({ deletes, puts }: StoreBatch): void {
    for (const { key, value } of puts) {
      const text = textOf(key)
      if (!this.values.has(text)) this.#sorted.push(text)
      // A copy, because the writer's buffers may be used again.
      this.values.set(text, Buffer.from(value))
    }
    for (const key of deletes) this.values.delete(textOf(key))
  }

  keysIn({ gte, limit = -1, lt, reverse = false }: Range): string[] {
    // Mostly in order already, which makes sorting cheap. A deleted key is dropped here.
    this.#sorted = [...new Set(this.#sorted)].filter((key) => this.values.has(key)).sort(byBytes)
    const [from, to] = [textOf(gte), textOf(lt)]
    const keys = this.#sorted.filter((key) => from <= key && key < to)
    if (reverse) keys.reverse()
    return limit < 0 ? keys : keys.slice(0, limit)
  }
}

export interface MemoryStore extends Store {
  copy(): MemoryStore
}

/** A store whose content is lost when it is closed. It copies no files and has none to check. */
export function memoryStore(of?: Pairs): MemoryStore {
  let pairs = of ?? new Pairs()
  let isShared = false
  let isClosed = false
  const now = () => {
    if (isClosed) throw new LockstepError('LEDGER_CLOSED', 'the ledger was closed during a read')
    return pairs
  }
  return {
    ...readerOf(now),
    write: async (batch) => {
      if (isShared) pairs = pairs.copy()
      isShared = false
      now().apply(batch)
    },
    snapshot: (): StoreSnapshot => {
      const shared = now()
      isShared = true
      return { ...readerOf(() => shared), close: async () => {} }
    },
    copy: () => memoryStore(now().copy()),
    copyTo: () => {
      throw new LockstepError('INVARIANT_VIOLATED', 'a store in memory has no files')
    },
    flush: async () => {},
    rewrite: async () => true,
    settle: async () => {},
    close: async () => {
      isClosed = true
    },
  }
}

function readerOf(pairs: () => Pairs): StoreReader {
  return {
    checkFiles: async () => {},
    get: (key) => pairs().values.get(textOf(key)),
    scan: async function* (range) {
      const { values } = pairs()
      const found = pairs()
        .keysIn(range)
        .map((key): [Uint8Array, Uint8Array] => [Buffer.from(key, 'latin1'), values.get(key) as Uint8Array])
      for (let at = 0; at < found.length; at += pageMax) yield found.slice(at, at + pageMax)
    },
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

function byBytes(one: string, other: string): number {
  return one < other ? -1 : one === other ? 0 : 1
}
