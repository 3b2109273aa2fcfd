import type { Entry } from '../../kernel/entry.ts'
import type { TileReader } from '../../merkle/tiles.ts'
import { missing } from '../corrupt.ts'
import type { StoredEntry } from '../free-texts.ts'
import type { Key, LogReader, LogSnapshot, Values } from '../log.ts'
import { objectIn } from './objects.ts'
import { decode, decodeEntry, decodeStored, unsealIfThere } from './rows/codec.ts'
import { readHead, type StoredHead } from './rows/head-row.ts'
import * as keys from './rows/keys.ts'
import type { StoreReader, StoreSnapshot } from './store.ts'

/** Reads of what a store holds below a head. Every read answers at once. */
export abstract class KeyedReader implements LogReader {
  abstract head(): StoredHead
  protected abstract readonly reader: StoreReader
  /** The tiles below the head. */
  abstract readonly tiles: TileReader

  load(asked: readonly Key[]): Values | Promise<Values> {
    return asked.map((key) => this.get(key))
  }

  /** The value under a key. Cost: one read; 192 KiB of an object cost one read. */
  get(asked: Key): unknown {
    const { generation, size } = this.head()
    switch (asked.view) {
      case 'entry':
        return asked.key < size ? this.#entry(asked.key, decodeEntry) : undefined
      case 'stored':
        return asked.key < size ? this.#entry(asked.key, decodeStored) : undefined
      case 'row':
        return this.#decoded(keys.rowKey(generation, asked.key))
      case 'state':
        return this.#decoded(keys.stateKey(generation, asked.key))
      case 'object':
        return objectIn(this.reader, asked.key)
      case 'receipts':
        return this.#bytes(keys.receiptsKey(generation, asked.key))
      case 'index':
        return this.#bytes(keys.indexKey(generation, asked.key))
      case 'tile':
        return this.tiles.tile(asked.key.level, asked.key.index)
    }
  }

  entries(from: number, to = this.head().size): AsyncGenerator<Entry[]> {
    return entriesOf(this.reader, from, to)
  }

  storedEntries(from: number, to = this.head().size): AsyncGenerator<StoredEntry[]> {
    return pagesOf(this.reader, from, to, decodeStored)
  }

  async *scan(view: 'row' | 'state', prefix: string, after?: string): AsyncGenerator<[string, unknown][]> {
    const { generation } = this.head()
    const range =
      view === 'row' ? keys.ranges.rows(generation, prefix, after) : keys.ranges.state(generation, prefix, after)
    for await (const page of this.reader.scan(range)) {
      yield page.map(([key, value]) => [keys.nameOfRowKey(key), decode(key, value)])
    }
  }

  #entry<T>(seq: number, decoded: (key: Uint8Array, sealed: Uint8Array) => T): T {
    const key = keys.entryKey(seq)
    const value = this.reader.get(key)
    if (value === undefined) throw missing(seq)
    return decoded(key, value)
  }

  #decoded(key: Uint8Array): unknown {
    const value = this.reader.get(key)
    return value === undefined ? undefined : decode(key, value)
  }

  #bytes(key: Uint8Array): Uint8Array | undefined {
    return unsealIfThere(key, this.reader.get(key))
  }
}

/** A snapshot of a store as a log. It may be slightly ahead of the log's own head. */
export class KeyedSnapshot extends KeyedReader implements LogSnapshot {
  protected readonly reader: StoreSnapshot
  readonly #head: StoredHead

  constructor(reader: StoreSnapshot) {
    super()
    this.reader = reader
    this.#head = readHead(reader)
  }

  head(): StoredHead {
    return this.#head
  }

  get tiles(): TileReader {
    return storedTiles(this.reader)
  }

  close(): Promise<void> {
    return this.reader.close()
  }
}

/** The stored tiles. The last tile of level 0 is stored only when it is full. */
export function storedTiles(reader: StoreReader): TileReader {
  return {
    tile: (level, index) => {
      const key = keys.tileKey(level, index)
      return unsealIfThere(key, reader.get(key))
    },
  }
}

/** The entries of a range, in pages. Errors: LEDGER_CORRUPT with the first missing seq. */
export function entriesOf(reader: StoreReader, from: number, to: number): AsyncGenerator<Entry[]> {
  return pagesOf(reader, from, to, decodeEntry)
}

async function* pagesOf<T>(
  reader: StoreReader,
  from: number,
  to: number,
  decoded: (key: Uint8Array, sealed: Uint8Array) => T,
): AsyncGenerator<T[]> {
  let seq = from
  for await (const page of reader.scan(keys.ranges.entries(from, to))) {
    yield page.map(([key, value]) => {
      if (keys.seqOfEntryKey(key) !== seq) throw missing(seq)
      seq += 1
      return decoded(key, value)
    })
  }
  if (seq < to) throw missing(seq)
}
