import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { formatVersion } from '../../kernel/format.ts'
import { rootOf } from '../../merkle/frontier.ts'
import { emptyTree, type TileReader } from '../../merkle/tiles.ts'
import type { Erased, ErasedWrite } from '../erased.ts'
import type { StoredEntry } from '../free-texts.ts'
import { newDigestKey } from '../keyed-digest.ts'
import type {
  Appended,
  Cursors,
  Key,
  Log,
  Meta,
  NewMeta,
  Recorded,
  SignedHead,
  TreeHeadFile,
  ViewWrite,
} from '../log.ts'
import type { Holding } from '../log-parts.ts'
import { sha256 } from '../sha256.ts'
import { withTextsErased } from './erased-texts.ts'
import { Generations } from './generations.ts'
import { IndexRows } from './index-rows.ts'
import { Objects, putMark } from './objects.ts'
import { purgeErased } from './purge.ts'
import { KeyedReader, KeyedSnapshot, storedTiles } from './reader.ts'
import { encodeEntry, seal } from './rows/codec.ts'
import { putHead, readHead, type StoredHead } from './rows/head-row.ts'
import * as keys from './rows/keys.ts'
import { putMeta, readMeta } from './rows/meta-row.ts'
import { assertStoredAsHashed } from './self-check.ts'
import type { Store, StoreBatch, StoreSnapshot } from './store.ts'
import { LogTree } from './tree.ts'
import { putView } from './view-write.ts'
import { WriteQueue } from './write-queue.ts'

/** A kind of log over a store. */
type OverStore<L> = new (store: Store, meta: Meta, selfCheck: boolean) => L

/**
 * A log over an ordered key-value store. It holds entries, their Merkle tiles, the head row and the rows derived from
 * the entries. One append is one synced batch. Only the head and the last, partial tile are kept in memory. The next
 * append can be prepared while one is being written, and is written after it (ADR 0013). Reads return only durable data
 * and answer at once.
 */
export class KeyedLog extends KeyedReader implements Log {
  meta: Meta
  readonly objects: Objects
  readonly index: IndexRows
  /** Views that are not in force. A rebuild fills one generation. */
  readonly generations: Generations
  readonly counts: WriteQueue['counts']
  custody: Holding | undefined
  /** Whether bytes were seen that are or may be damaged. The next open must then check every byte. */
  isDamaged = false
  protected readonly reader: Store
  readonly #writes: WriteQueue
  readonly #selfCheck: boolean
  readonly #tree: LogTree
  /** The meta row that the next append writes, if the ledger is being raised to this version's format. */
  #raised: Meta | undefined
  /** The durable head, and the head after the pending appends. */
  #head: StoredHead
  #tail: StoredHead

  constructor(store: Store, meta: Meta, selfCheck: boolean) {
    super()
    this.reader = store
    this.meta = meta
    this.#selfCheck = selfCheck
    this.#writes = new WriteQueue(store)
    this.counts = this.#writes.counts
    const write = (batch: StoreBatch) => this.#writes.write(batch)
    this.objects = new Objects({ fetched: () => store, scan: (range) => store.scan(range), write })
    this.#head = readHead(store)
    this.#tail = this.#head
    const storedAt = (key: number) => this.get({ view: 'stored', key }) as StoredEntry | undefined
    this.#tree = new LogTree(this.#head.size, (seq) => storedAt(seq)?.text, storedTiles(store))
    this.generations = new Generations(store, { inForce: () => this.#head.generation, write })
    this.index = new IndexRows({
      generation: () => this.#head.generation,
      scan: (range) => store.scan(range),
      write: (batch) => this.#writes.inTurn(() => batch),
    })
  }

  /** Starts a log in an empty store by writing the meta and head rows, synced. A salvaged copy keeps its format. */
  static async create<L extends KeyedLog>(
    this: OverStore<L>,
    store: Store,
    meta: NewMeta,
    selfCheck = false,
  ): Promise<L> {
    const whole = { digest_key: newDigestKey(), format: formatVersion, ...meta }
    const batch: StoreBatch = { puts: [], deletes: [] }
    putMeta(batch, whole)
    putHead(batch, { cursors: {}, generation: 1, root: rootOf(emptyTree.frontier, sha256), size: 0 })
    await store.write(batch)
    return new this(store, whole, selfCheck)
  }

  /** Errors: LEDGER_CORRUPT if the meta or head row is missing or damaged; FORMAT_TOO_NEW, LEDGER_FORMAT. */
  static open<L extends KeyedLog>(this: OverStore<L>, store: Store, selfCheck = false): L {
    return new this(store, readMeta(store), selfCheck)
  }

  head(): StoredHead {
    return this.#head
  }

  /** The durable tiles. */
  get tiles(): TileReader {
    return this.#tree.tiles
  }

  override get(asked: Key): unknown {
    try {
      return super.get(asked)
    } catch (error) {
      this.isDamaged ||= error instanceof LockstepError && error.code === 'LEDGER_CORRUPT'
      throw error
    }
  }

  /** The entry at a seq, or undefined past the end. */
  entry(seq: number): Entry | undefined {
    return this.get({ view: 'entry', key: seq }) as Entry | undefined
  }

  /**
   * Cost: one put for each entry, one for each view change, one for the head, and about two per 256 entries for tiles.
   */
  async append(
    expected: { size: number },
    recorded: readonly Recorded[],
    views: readonly (ErasedWrite | ViewWrite)[],
    cursors: Cursors,
  ): Promise<Appended> {
    if (expected.size !== this.#tail.size) return { outcome: 'moved', head: this.#head }
    const batch: StoreBatch = { puts: [], deletes: [] }
    const leaves: Uint8Array[] = []
    for (const each of recorded) {
      const key = keys.entryKey(each.entry.seq)
      const { value, leaf } = encodeEntry(key, each)
      if (this.#selfCheck) assertStoredAsHashed(each, key, value)
      batch.puts.push({ key, value })
      leaves.push(sha256(leaf))
    }
    const grown = this.#tree.grow(leaves)
    for (const tile of grown.tiles) {
      const key = keys.tileKey(tile.level, tile.index)
      batch.puts.push({ key, value: seal(key, tile.hashes) })
    }
    for (const write of views) {
      if (write.view === 'erased') putMark(batch, this.reader, { digest: write.key, seq: write.value })
      else if (write.view !== 'texts') putView(batch, write, this.#head.generation)
    }
    const { frontier } = grown.tree
    const head = { ...this.#tail, cursors, root: rootOf(frontier, sha256), size: frontier.size }
    putHead(batch, head)
    this.#tail = head
    const raised = this.#raised
    if (raised !== undefined) putMeta(batch, raised)

    await this.#writes.write(withTextsErased(batch, this.reader, views))
    if (raised !== undefined) this.meta = raised
    this.#raised = undefined
    this.counts.entries += recorded.length
    this.#tree.keep(grown)
    this.#head = head
    return { outcome: 'done' }
  }

  async follow(): Promise<StoredHead> {
    return this.#head
  }

  async keepCursors(cursors: Cursors): Promise<void> {
    const batch: StoreBatch = { puts: [], deletes: [] }
    const head = { ...this.#tail, cursors }
    this.#tail = head
    putHead(batch, head)
    await this.#writes.write(batch)
    this.#head = head
  }

  purge(erased: Erased): Promise<boolean> {
    return purgeErased(this.reader, this.#writes, erased, this.#head.generation)
  }

  async rename(identity: Omit<Meta, 'digest_key'>): Promise<void> {
    const batch: StoreBatch = { puts: [], deletes: [] }
    // A place has its name for one ledger.
    const { place: _, ...before } = this.meta
    const meta = { ...before, ...identity }
    putMeta(batch, meta)
    await this.#writes.write(batch)
    this.meta = meta
  }

  raise(): void {
    this.#raised = { digest_key: newDigestKey(), ...this.meta, format: formatVersion }
  }

  /** Puts a filled generation in force with one batch. The previous generation can then be cleared. */
  async switchTo(generation: number): Promise<void> {
    const batch: StoreBatch = { puts: [], deletes: this.generations.claimKeys(generation) }
    this.#tail = { ...this.#head, generation }
    putHead(batch, this.#tail)
    await this.#writes.write(batch)
    this.#head = this.#tail
  }

  async snapshot(): Promise<KeyedSnapshot> {
    return new KeyedSnapshot(this.reader.snapshot())
  }

  /** All current pairs as stored, for a verification that trusts no derived data. The caller must close it. */
  stored(): StoreSnapshot {
    return this.reader.snapshot()
  }

  /** The tree head that the engine keeps outside the store; undefined if it keeps none. */
  headFile(): TreeHeadFile | undefined {
    return undefined
  }

  sign(_size: number): Promise<SignedHead> {
    throw new LockstepError('INVARIANT_VIOLATED', 'this log has no engine that signs')
  }

  keepHead(): Promise<boolean> {
    throw new LockstepError('INVARIANT_VIOLATED', 'this log has no engine that keeps a head')
  }

  /** Does work on the store that must not overlap a write. Rejects if an earlier write failed. */
  between(work: (store: Store) => void): Promise<void> {
    return this.#writes.between(() => work(this.reader))
  }

  copy(): Promise<Log> {
    throw new LockstepError('INVARIANT_VIOLATED', 'this log has no engine that copies it')
  }

  close(): Promise<void> {
    return this.reader.close()
  }
}
