import { isUtf8 } from 'node:buffer'
import type { Entry } from '../../../kernel/entry.ts'
import { sameBytes, toHex } from '../../../merkle/hash.ts'
import { readerOf, rootAt, type TileReader, tileWidth } from '../../../merkle/tiles.ts'
import type { Check } from '../../check.ts'
import { compareHeadFile } from '../../compare-head-file.ts'
import { differs, missing } from '../../corrupt.ts'
import { entryWithTexts, type StoredEntry } from '../../free-texts.ts'
import { originsIn } from '../../keyed/origins.ts'
import { decode, decodeStored, entryOfText, unseal } from '../../keyed/rows/codec.ts'
import { readHead, type StoredHead } from '../../keyed/rows/head-row.ts'
import * as keys from '../../keyed/rows/keys.ts'
import { readMeta } from '../../keyed/rows/meta-row.ts'
import type { StoreReader } from '../../keyed/store.ts'
import { leafHashOfText } from '../../leaf.ts'
import type { Meta, TreeHeadFile } from '../../log.ts'
import type { Note } from '../../log-parts.ts'
import { sha256 } from '../../sha256.ts'
import { TreeVerification } from './verify-tree.ts'

export interface StoredOptions {
  /** The tree head kept outside the database. It is read before the snapshot is taken. */
  headFile: TreeHeadFile | undefined
  /**
   * Further checks of the same pass. If none of them takes rows, only the last seqs of the rows are compared with the
   * entries.
   */
  checks?: readonly Check[]
  /**
   * Only what cannot be derived from the entries is read: entries, tiles, both tree heads, and objects. The files of the
   * store are not checked.
   */
  onlyEntries?: boolean
  /** Called with the number of entries read so far. */
  progress?: (done: number, total: number) => void
}

/**
 * The content of a store that verified, with counts: rows, blocks of receipts and index rows of the generation in force;
 * pairs that a rebuild left behind.
 */
export type Stored = { head: StoredHead; meta: Meta } & Record<'index' | 'left' | 'receipts' | 'rows', number>

/**
 * Reads the store's files, then every pair once, in key order, and trusts none of them. `views/` compares the content
 * of rows and receipts. This function checks:
 * - every checksum;
 * - that the entries have no gaps, are as many as the head row says, and match their hashes;
 * - that the tree built again from them has the stored tiles and both tree heads;
 * - that each stream has one row, which names the last entry of the stream;
 * - that the store contains no unknown keys.
 * Errors: VERIFY_FAILED, LEDGER_CORRUPT, both with the first bad `seq` if there is one.
 */
export async function verifyStored(reader: StoreReader, options: StoredOptions): Promise<Stored> {
  return new StoredVerification(reader, options).run()
}

class StoredVerification {
  readonly #reader: StoreReader
  readonly #options: StoredOptions
  readonly #stored: Stored
  readonly #checks: readonly Check[]
  readonly #takesRows: boolean
  readonly #storedTiles: TileReader
  readonly #tree: TreeVerification
  /** The entries of the tile that is being read, as they are stored, and the leaf hashes of their texts. */
  #entries: { recorded: Entry; stored: StoredEntry }[] = []
  #leafHashes: Uint8Array[] = []
  #isEnded = false
  #seq = 0
  #tiles = 0
  #streams = 0
  /** The sum of the last seqs of all streams. Entries add to it, and rows subtract from it. */
  #lastSeqs = 0

  constructor(reader: StoreReader, options: StoredOptions) {
    this.#reader = reader
    this.#options = options
    this.#checks = options.checks ?? []
    this.#takesRows = this.#checks.some((check) => check.row !== undefined)
    this.#stored = { meta: readMeta(reader), head: readHead(reader), rows: 0, receipts: 0, index: 0, left: 0 }
    this.#storedTiles = { tile: (level, index) => this.#tile(level, index) }
    this.#tree = new TreeVerification(this.#storedTiles)
  }

  async run(): Promise<Stored> {
    if (this.#options.onlyEntries !== true) await this.#reader.checkFiles()
    const { size } = this.#stored.head
    for await (const page of this.#reader.scan(keys.ranges.all)) {
      for (const [key, value] of page) this.#pair(key, value)
      this.#options.progress?.(this.#seq, size)
    }
    this.#endEntries()
    const expectedTiles = this.#tree.finish()
    if (this.#tiles !== expectedTiles) {
      throw differs('tiles', `the store has ${this.#tiles} tiles, but ${size} entries require ${expectedTiles}`)
    }
    if (this.#options.onlyEntries !== true) this.#compareRows()
    this.#compareCursors()
    this.#compareHeadFile()
    const { index, receipts } = this.#stored
    for (const check of this.#checks) check.end?.({ size, receipts, index, rootAt: this.#rootAt })
    return this.#stored
  }

  #pair(key: Uint8Array, value: Uint8Array): void {
    const kind = keys.kindOf(key)
    // Entries come first in key order. The first other key means that all entries were read.
    if (kind !== 'entry') this.#endEntries()
    if (this.#options.onlyEntries === true && derivedKinds.has(kind)) return
    switch (kind) {
      case 'entry':
        this.#entry(key, value)
        return
      case 'head':
      case 'meta':
      case 'tile':
        unseal(key, value)
        if (kind === 'tile') this.#tiles += 1
        return
      case 'receipts':
      case 'index':
        unseal(key, value)
        if (this.#isInForce(key)) this.#stored[kind] += 1
        return
      case 'row':
        if (this.#isInForce(key)) this.#row(key, value)
        else unseal(key, value)
        return
      case 'state': {
        const state = decode(key, value)
        if (this.#isInForce(key)) for (const check of this.#checks) check.state?.(keys.nameOfRowKey(key), state)
        return
      }
      case 'object': {
        const { digest, piece } = keys.digestOfObjectKey(key)
        unseal(key, value)
        for (const check of this.#checks) check.object?.(digest, piece)
        return
      }
      case 'note': {
        const note = decode<Note>(key, value)
        for (const check of this.#checks) check.note?.(note)
        return
      }
      case undefined:
        throw differs('stray', `the key ${Buffer.from(key).toString('hex')} does not belong to Lockstep`)
    }
  }

  #entry(key: Uint8Array, value: Uint8Array): void {
    const seq = keys.seqOfEntryKey(key)
    if (seq !== this.#seq) throw missing(this.#seq)
    if (seq >= this.#stored.head.size) throw differs('entries', `entry ${seq} is beyond the end of the ledger`, { seq })
    const stored = decodeStored(key, value)
    const recorded = entryOfText(key, stored.text)
    if (recorded.seq !== seq) throw differs('entries', `entry ${seq} says that its seq is ${recorded.seq}`, { seq })
    // Other bytes can decode to the same text, but only these were hashed.
    if (!isUtf8(unseal(key, value))) throw differs('bytes', `entry ${seq} is not UTF-8`, { seq })
    this.#entries.push({ recorded, stored })
    this.#leafHashes.push(leafHashOfText(stored.text))
    this.#seq += 1
    if (this.#entries.length === tileWidth) this.#takeEntries()
  }

  /** Entries are passed on only after their whole tile was compared, so that no damaged entry is interpreted. */
  #takeEntries(): void {
    this.#tree.add(this.#leafHashes)
    if (this.#seq === this.#stored.head.size) this.#compareRoot()
    for (const { recorded, stored } of this.#entries) {
      const entry = entryWithTexts(recorded, stored)
      if (entry.prev.stream === null) this.#streams += 1
      this.#lastSeqs = (this.#lastSeqs + entry.seq - (entry.prev.stream ?? 0)) % sumModulus
      for (const check of this.#checks) check.entry?.(entry, stored)
    }
    this.#entries = []
    this.#leafHashes = []
  }

  #endEntries(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    if (this.#seq < this.#stored.head.size) throw missing(this.#seq)
    if (this.#entries.length > 0 || this.#seq === 0) this.#takeEntries()
  }

  /** If every full tile matched, only the entries after those tiles can differ. */
  #compareRoot(): void {
    const { root, size } = this.#stored.head
    const computed = this.#tree.root()
    const what = `the entries give the root ${toHex(computed)} at size ${size}, but the head row says ${toHex(root)}`
    if (sameBytes(computed, root)) return
    throw differs('root', what, { seq: size - (size % tileWidth) })
  }

  #isInForce(key: Uint8Array): boolean {
    if (key[1] === this.#stored.head.generation) return true
    this.#stored.left += 1
    return false
  }

  #row(key: Uint8Array, value: Uint8Array): void {
    this.#stored.rows += 1
    if (this.#takesRows) {
      for (const check of this.#checks) check.row?.(key, value)
      return
    }
    const { last_seq } = decode<{ last_seq: number }>(key, value)
    this.#lastSeqs = (this.#lastSeqs - last_seq) % sumModulus
  }

  /**
   * There must be one row per stream, and the rows' last seqs must add up to those of the entries. LevelDB skips a
   * damaged block without an error.
   */
  #compareRows(): void {
    const { rows } = this.#stored
    const what = `the entries have ${this.#streams} streams, but the store has ${rows} rows`
    if (rows !== this.#streams) throw differs('rows', what)
    if (this.#takesRows || this.#lastSeqs === 0) return
    throw differs('rows', 'a row does not name the last entry of its stream')
  }

  #compareCursors(): void {
    const { cursors, size } = this.#stored.head
    const beyond = Object.entries(cursors).find(([, cursor]) => cursor > size)
    if (beyond === undefined) return
    throw differs('head', `the cursor of ${beyond[0]} is ${beyond[1]}, but there are only ${size} entries`)
  }

  #compareHeadFile(): void {
    const { headFile } = this.#options
    if (headFile === undefined) return
    const { head, meta } = this.#stored
    compareHeadFile(headFile, { origins: originsIn(this.#reader, meta), size: head.size }, this.#rootAt)
  }

  readonly #rootAt = (size: number) => rootAt(size, readerOf(this.#tree.tree, this.#storedTiles), sha256)

  #tile(level: number, index: number): Uint8Array | undefined {
    const key = keys.tileKey(level, index)
    const value = this.#reader.get(key)
    return value === undefined ? undefined : unseal(key, value)
  }
}

const derivedKinds: ReadonlySet<ReturnType<typeof keys.kindOf>> = new Set(['index', 'receipts', 'row', 'state'])

/** The modulus keeps sums exact in a ledger of any length. */
const sumModulus = 2 ** 52
