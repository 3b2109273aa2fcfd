import { LockstepError } from '../../errors.ts'
import type { Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { rootOf } from '../../merkle/frontier.ts'
import { consistencyProof, inclusionProof } from '../../merkle/proofs.ts'
import { emptyTree, rootAt, type TileReader } from '../../merkle/tiles.ts'
import { missing } from '../corrupt.ts'
import { sha256 } from '../sha256.ts'
import { entriesOf } from './entries.ts'
import { Generations } from './generations.ts'
import { IndexRows } from './index-rows.ts'
import { Objects } from './objects.ts'
import type { Custody } from './owner/custody.ts'
import { decode, decodeEntry, encodeEntry, formatVersion, seal, unsealIfThere } from './rows/codec.ts'
import { type Cursors, type Head, putHead, readHead } from './rows/head-row.ts'
import * as keys from './rows/keys.ts'
import { assertStoredAsHashed } from './rows/leaf.ts'
import { type Meta, putMeta, readMeta } from './rows/meta-row.ts'
import { decodeRow } from './rows/row.ts'
import type { Store, StoreBatch, StoreSnapshot } from './store.ts'
import { LogTree } from './tree.ts'
import { putView, type ViewWrite } from './view-write.ts'
import { WriteQueue } from './write-queue.ts'

/** An entry with its canonical text. The sequencer made the text to check its size, and the log hashes it. */
export interface Recorded {
  entry: Entry
  text: string
}

/** `moved` means that another writer appended first. The caller must catch up and decide again. */
export type Appended = { outcome: 'done' } | { outcome: 'moved'; head: Head }

/**
 * The append-only log over a store. It holds entries, their Merkle tiles, the head row and the rows derived from the
 * entries. One append is one synced batch. Only the head and the last, partial tile are kept in memory. The next append
 * can be prepared while one is being written, and is written after it (ADR 0013). Reads return only durable data.
 */
export class Log {
  readonly meta: Meta
  readonly objects: Objects
  /** Data derived off the hot path. Its writes are separate and take turns with the appends. */
  readonly index: IndexRows
  /** Views that are not in force. A rebuild fills one generation. */
  readonly generations: Generations
  /** Exact counts of what was written, for tests and benches. */
  readonly counts: WriteQueue['counts']
  /** Set for a log that `openLog` opened. */
  custody: Custody | undefined
  readonly #store: Store
  readonly #writes: WriteQueue
  readonly #selfCheck: boolean
  readonly #tree: LogTree
  /** The durable head, and the head after the pending appends. */
  #head: Head
  #tail: Head
  /** Whether bytes were seen that are or may be damaged. The next open must then check every byte. */
  isDamaged = false

  private constructor(store: Store, meta: Meta, selfCheck: boolean) {
    this.#store = store
    this.#writes = new WriteQueue(store)
    this.counts = this.#writes.counts
    this.objects = new Objects(store, (batch) => this.#writes.write(batch))
    this.#selfCheck = selfCheck
    this.meta = meta
    this.#head = readHead(store)
    this.#tail = this.#head
    this.#tree = new LogTree(this.#head.size, this.#entryAt, this.#storedTiles)
    this.generations = new Generations(store, {
      inForce: () => this.#head.generation,
      write: (batch) => this.#writes.write(batch),
    })
    this.index = new IndexRows({
      generation: () => this.#head.generation,
      read: (key) => this.#read(key, unsealIfThere),
      scan: (range) => store.scan(range),
      write: (batch) => this.#writes.inTurn(batch),
    })
  }

  /** Starts a log in an empty store by writing the meta and head rows, synced. */
  static async create(store: Store, meta: Omit<Meta, 'format'>, selfCheck = false): Promise<Log> {
    const whole = { format: formatVersion, ...meta }
    const batch: StoreBatch = { puts: [], deletes: [] }
    putMeta(batch, whole)
    putHead(batch, { cursors: {}, generation: 1, root: rootOf(emptyTree.frontier, sha256), size: 0 })
    await store.write(batch)
    return new Log(store, whole, selfCheck)
  }

  /** Errors: LEDGER_CORRUPT if the meta or head row is missing or damaged; FORMAT_TOO_NEW, LEDGER_FORMAT. */
  static open(store: Store, selfCheck = false): Log {
    return new Log(store, readMeta(store), selfCheck)
  }

  head(): Head {
    return this.#head
  }

  /** The root of the first `size` entries, computed from the tiles. */
  rootAt(size: number): Uint8Array {
    return rootAt(size, this.tiles, sha256)
  }

  inclusionProof(seq: number, size: number): Uint8Array[] {
    return inclusionProof(seq, size, this.tiles, sha256)
  }

  consistencyProof(from: number, to: number): Uint8Array[] {
    return consistencyProof(from, to, this.tiles, sha256)
  }

  /** The entry at a seq, or undefined past the end. Cost: one read. */
  entry(seq: number): Entry | undefined {
    if (seq >= this.#head.size) return undefined
    return this.#read(keys.entryKey(seq), (key, value) => {
      if (value === undefined) throw missing(seq)
      return decodeEntry(key, value)
    })
  }

  /** The entries of a range, in pages. Errors: LEDGER_CORRUPT if one is missing. */
  entries(from: number, to = this.#head.size): AsyncGenerator<Entry[]> {
    return entriesOf(this.#store, from, to)
  }

  /** The row of a stream. Cost: one read. */
  row(stream: string, generation = this.#head.generation): Row | undefined {
    return this.#read(keys.rowKey(generation, stream), (key, value) =>
      value === undefined ? undefined : decodeRow(key, stream, value, this.#entryAt),
    )
  }

  /** Rows of streams with this prefix, in the order of the streams' UTF-8 bytes. */
  async *rows(prefix: string, generation = this.#head.generation): AsyncGenerator<[string, Row]> {
    for await (const page of this.#store.scan(keys.ranges.rows(generation, prefix))) {
      for (const [key, value] of page) {
        const stream = keys.nameOfRowKey(key)
        yield [stream, decodeRow(key, stream, value, this.#entryAt)]
      }
    }
  }

  /** A row of sovereign state. Cost: one read. */
  state(name: string, generation = this.#head.generation): unknown {
    return this.#read(keys.stateKey(generation, name), (key, value) => value && decode(key, value))
  }

  /** A block of receipts, as the view wrote it. */
  receipts(block: number): Uint8Array | undefined {
    return this.#read(keys.receiptsKey(this.#head.generation, block), unsealIfThere)
  }

  /** The seq from which a reactor continues. */
  cursor(reactor: string): number {
    return this.#head.cursors[reactor] ?? 0
  }

  /**
   * Appends entries, their tiles, the head and the views' changes in one synced batch. After a rejection the outcome is
   * unknown, and the log must be reopened before further use.
   * Cost: one put for each entry, one for each view change, one for the head, and about two per 256 entries for tiles.
   */
  async append(
    expected: { size: number },
    recorded: readonly Recorded[],
    views: readonly ViewWrite[],
    cursors: Cursors,
  ): Promise<Appended> {
    if (expected.size !== this.#tail.size) return { outcome: 'moved', head: this.#head }
    const batch: StoreBatch = { puts: [], deletes: [] }
    const leaves: Uint8Array[] = []
    for (const { entry, text } of recorded) {
      const key = keys.entryKey(entry.seq)
      const { value, leaf } = encodeEntry(key, text)
      if (this.#selfCheck) assertStoredAsHashed(entry, text, key, value)
      batch.puts.push({ key, value })
      leaves.push(sha256(leaf))
    }
    const grown = this.#tree.grow(leaves)
    for (const tile of grown.tiles) {
      const key = keys.tileKey(tile.level, tile.index)
      batch.puts.push({ key, value: seal(key, tile.hashes) })
    }
    for (const write of views) putView(batch, write, this.#head.generation)
    const { frontier } = grown.tree
    const head = { ...this.#tail, cursors, root: rootOf(frontier, sha256), size: frontier.size }
    putHead(batch, head)
    this.#tail = head

    await this.#writes.write(batch)
    this.counts.entries += recorded.length
    this.#tree.keep(grown)
    this.#head = head
    return { outcome: 'done' }
  }

  /** Puts a filled generation in force with one batch. The previous generation can then be cleared. */
  async switchTo(generation: number): Promise<void> {
    const batch: StoreBatch = { puts: [], deletes: this.generations.claimKeys(generation) }
    this.#tail = { ...this.#head, generation }
    putHead(batch, this.#tail)
    await this.#writes.write(batch)
    this.#head = this.#tail
  }

  /** All current pairs as stored, for a verification that trusts no derived data. The caller must close it. */
  snapshot(): StoreSnapshot {
    return this.#store.snapshot()
  }

  /** Copies the database into an empty folder, between two writes (`snapshot-files.ts`). */
  copyTo(folder: string): Promise<void> {
    return this.#writes.between(() => this.#store.copyTo(folder))
  }

  /**
   * Waits until only a few files remain to be compacted. Otherwise thousands of short opens would leave thousands of
   * files.
   */
  settle(): Promise<void> {
    return this.#store.settle(limits.settleMillisMax)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  get tiles(): TileReader {
    return this.#tree.tiles
  }

  readonly #entryAt = (seq: number) => this.entry(seq)

  readonly #storedTiles: TileReader = {
    tile: (level, index) => this.#read(keys.tileKey(level, index), unsealIfThere),
  }

  #read<T>(key: Uint8Array, take: (key: Uint8Array, value: Uint8Array | undefined) => T): T {
    try {
      return take(key, this.#store.get(key))
    } catch (error) {
      this.isDamaged ||= error instanceof LockstepError && error.code === 'LEDGER_CORRUPT'
      throw error
    }
  }
}
