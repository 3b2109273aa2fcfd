import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { rootOf } from '../../merkle/frontier.ts'
import { hashBytes, sameBytes } from '../../merkle/hash.ts'
import { type Tile, type TileReader, tileWidth } from '../../merkle/tiles.ts'
import { corrupt, missing } from '../corrupt.ts'
import { entryWithTexts, type StoredEntry } from '../free-texts.ts'
import { objectIn } from '../keyed/objects.ts'
import { decode, unsealIfThere } from '../keyed/rows/codec.ts'
import type { StoredHead } from '../keyed/rows/head-row.ts'
import * as keys from '../keyed/rows/keys.ts'
import { LogTree } from '../keyed/tree.ts'
import type { Key, LogReader, Values } from '../log.ts'
import { sha256 } from '../sha256.ts'
import { assertLeaf, assertTexts, entriesAt, leafIn } from './entries.ts'
import { Pairs } from './pairs.ts'
import type { Query } from './seat.ts'
import { leafTiles, tileAt } from './tiles.ts'

/** What reads a ledger: a database, or a connection that sees it at one moment. */
export interface Ground {
  ledgerId: string
  query: Query
}

/** The head that a reader knows, with the tree that it belongs to. */
export interface Known {
  head: StoredHead
  /** The last tile of each level above 0, as far as it is not full. */
  last: LastTiles
  tree: LogTree
}

/** Reads of what a database holds below a known head. A load costs one round trip, whatever it asks for. */
export class PostgresReader implements LogReader {
  readonly pairs: Pairs
  protected readonly ground: Ground
  protected known: Known

  constructor(ground: Ground, known: Known) {
    this.ground = ground
    this.known = known
    this.pairs = new Pairs(ground.query, ground.ledgerId, () => this.known.head)
  }

  head(): StoredHead {
    return this.known.head
  }

  async load(asked: readonly Key[]): Promise<Values> {
    const seqs = asked.flatMap(({ key, view }) => (view === 'entry' || view === 'stored' ? [key] : []))
    // An entry may be named by a row that was read a moment ago, and not be in the known head yet.
    if (seqs.some((seq) => seq >= this.known.head.size)) await this.newest()
    const { head, tree } = this.known
    const digests = asked.flatMap(({ key, view }) => (view === 'object' ? [key] : []))
    const tiles = asked.flatMap((key) => (key.view === 'tile' ? [key.key] : []))
    const [rows, entries, hashes] = await Promise.all([
      this.pairs.fetched(
        asked.flatMap((key) => rowKeyOf(key, head.generation) ?? []),
        digests,
      ),
      this.#entriesAt(
        seqs.filter((seq) => seq < head.size),
        tree.tiles,
      ),
      Promise.all(tiles.map(({ index, level }) => this.#tile(level, index))),
    ])
    return asked.map((key) => {
      switch (key.view) {
        case 'entry':
        case 'stored': {
          const stored = entries.get(key.key)
          if (stored === undefined && key.key < head.size) throw missing(key.key)
          return key.view === 'entry' && stored !== undefined ? entryOf(key.key, stored) : stored
        }
        case 'object':
          return objectIn(rows, key.key)
        case 'tile':
          return hashes.shift()
        default:
          return decodedValue(key, rowKeyOf(key, head.generation), rows)
      }
    })
  }

  async *entries(from: number, to?: number): AsyncGenerator<Entry[]> {
    let seq = from
    for await (const page of this.storedEntries(from, to)) {
      yield page.map((stored) => {
        seq += 1
        return entryOf(seq - 1, stored)
      })
    }
  }

  async *storedEntries(from: number, to?: number): AsyncGenerator<StoredEntry[]> {
    const { head, tree } = this.known
    const end = to ?? head.size
    let seq = from
    for await (const page of this.pairs.stored(from, end)) {
      const leaves = await this.#leavesOf(page[0]?.[0] ?? 0, page.at(-1)?.[0] ?? 0, tree.tiles)
      yield page.map(([at, stored]) => {
        if (at !== seq) throw missing(seq)
        seq += 1
        assertLeaf(at, stored.text, leafIn(leaves.get(Math.floor(at / tileWidth)), at))
        return stored
      })
    }
    if (seq < end) throw missing(seq)
  }

  async *scan(view: 'row' | 'state', prefix: string, after?: string): AsyncGenerator<[string, unknown][]> {
    const { generation } = this.known.head
    const range =
      view === 'row' ? keys.ranges.rows(generation, prefix, after) : keys.ranges.state(generation, prefix, after)
    for await (const page of this.pairs.scan(range)) {
      yield page.map(([key, value]) => [keys.nameOfRowKey(key), decode(key, value)])
    }
  }

  /** Resolves once the known head is as new as whatever was read before. A snapshot has no newer one. */
  protected async newest(): Promise<void> {}

  async #entriesAt(seqs: readonly number[], tiles: TileReader): Promise<Map<number, StoredEntry>> {
    if (seqs.length === 0) return new Map()
    const { ledgerId, query } = this.ground
    const partial = tiles.tile(0, Math.floor(this.known.head.size / tileWidth)) ?? new Uint8Array(0)
    return entriesAt(query, ledgerId, [...new Set(seqs)], partial)
  }

  /** The leaf hashes of entries, in their tiles. */
  async #leavesOf(from: number, to: number, tiles: TileReader): Promise<Map<number, Uint8Array>> {
    const [first, last] = [Math.floor(from / tileWidth), Math.floor(to / tileWidth)]
    const partial = tiles.tile(0, Math.floor(this.known.head.size / tileWidth))
    const found = await leafTiles(this.ground.query, this.ground.ledgerId, { first, last })
    if (!found.has(last) && partial !== undefined) found.set(last, partial)
    return found
  }

  /** A tile as far as the known head reaches. */
  async #tile(level: number, index: number): Promise<Uint8Array | undefined> {
    const { head, tree } = this.known
    const width = Math.min(tileWidth, Math.floor(head.size / tileWidth ** level) - index * tileWidth)
    if (level === 0 && width < tileWidth) return tree.tiles.tile(level, index)
    return (await tileAt(this.ground.query, this.ground.ledgerId, { index, level }))?.subarray(
      0,
      Math.max(0, width) * hashBytes,
    )
  }
}

function entryOf(seq: number, stored: StoredEntry): Entry {
  assertTexts(seq, stored)
  // The line has the hash that it was appended with.
  return entryWithTexts(JSON.parse(stored.text) as Entry, stored)
}

function rowKeyOf({ key, view }: Key, generation: number): Uint8Array | undefined {
  switch (view) {
    case 'row':
      return keys.rowKey(generation, key)
    case 'state':
      return keys.stateKey(generation, key)
    case 'receipts':
      return keys.receiptsKey(generation, key)
    case 'index':
      return keys.indexKey(generation, key)
    default:
      return undefined
  }
}

function decodedValue(
  { view }: Key,
  key: Uint8Array | undefined,
  rows: { get(key: Uint8Array): Uint8Array | undefined },
) {
  const value = key && rows.get(key)
  if (key === undefined || value === undefined) return undefined
  return view === 'row' || view === 'state' ? decode(key, value) : unsealIfThere(key, value)
}

/** The tiles that an append may make wider: the last one of each level above 0. */
export class LastTiles implements TileReader {
  readonly #byLevel = new Map<number, Tile>()

  tile(level: number, index: number): Uint8Array | undefined {
    const last = this.#byLevel.get(level)
    return last?.index === index ? last.hashes : undefined
  }

  keep(tiles: readonly Tile[]): void {
    for (const tile of tiles) if (tile.level > 0) this.#byLevel.set(tile.level, tile)
  }
}

/**
 * Reads the head and what an append needs of the tree, and compares them. Errors: NO_LEDGER; LEDGER_CORRUPT if the
 * entries after the last full tile do not give the root.
 */
export async function readKnown({ ledgerId, query }: Ground, node: string): Promise<Known> {
  const [row] = await query<HeadRow>(
    `SELECT h.size::float8, h.root, h.epoch::float8, h.generation, c.cursors FROM lockstep.head h
       LEFT JOIN lockstep.cursor c ON c.ledger_id = h.ledger_id AND c.node = $2 WHERE h.ledger_id = $1`,
    [ledgerId, node],
  )
  if (row === undefined) throw noSuchLedger(ledgerId)
  const [size, root, epoch, generation, cursors] = row
  const head: StoredHead = { cursors: cursors ?? {}, epoch, generation, root, size }
  const pairs = new Pairs(query, ledgerId, () => head)
  const last = new LastTiles()
  for (let level = 1, nodes = Math.floor(size / tileWidth); nodes > 0; level += 1) {
    const index = Math.floor(nodes / tileWidth)
    const hashes = nodes % tileWidth === 0 ? undefined : await tileAt(query, ledgerId, { index, level })
    // Another node may have made the tile wider since.
    if (hashes !== undefined) last.keep([{ level, index, hashes: hashes.subarray(0, (nodes % tileWidth) * hashBytes) }])
    nodes = index
  }
  const texts = new Map<number, string>()
  for await (const page of pairs.stored(size - (size % tileWidth), size)) {
    for (const [seq, { text }] of page) texts.set(seq, text)
  }
  const tree = new LogTree(size, (seq) => texts.get(seq), last)
  if (!sameBytes(rootOf(tree.frontier, sha256), root)) {
    throw corrupt(`the entries do not give the root at size ${size}`, { check: 'root' })
  }
  return { head, last, tree }
}

/** Whether the database still has a head that was read before. Cost: one read. */
export async function isNewest({ ledgerId, query }: Ground, { epoch, root, size }: StoredHead): Promise<boolean> {
  const text = 'SELECT 1 FROM lockstep.head WHERE ledger_id = $1 AND size = $2 AND epoch = $3 AND root = $4'
  return (await query(text, [ledgerId, size, epoch, root])).length > 0
}

type HeadRow = [size: number, root: Buffer, epoch: number, generation: number, cursors: Record<string, number> | null]

function noSuchLedger(ledgerId: string): LockstepError {
  return new LockstepError('NO_LEDGER', `the database has no ledger ${ledgerId}`, { details: { ledger_id: ledgerId } })
}
