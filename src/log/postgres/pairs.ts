import { corrupt } from '../corrupt.ts'
import type { StoredEntry } from '../free-texts.ts'
import { encode, encodeEntry, seal } from '../keyed/rows/codec.ts'
import type { StoredHead } from '../keyed/rows/head-row.ts'
import * as keys from '../keyed/rows/keys.ts'
import type { PairReader, Range, StoreReader } from '../keyed/store.ts'
import { heldTexts } from './entries.ts'
import { generationOf, rowPages } from './row-pages.ts'
import type { Query } from './seat.ts'
import { tileAt, wholeTile } from './tiles.ts'

type Pair = [key: Uint8Array, value: Uint8Array]
type Pages = AsyncGenerator<Pair[]>

/** The most pieces of objects, and the batches and about the entries in one page. */
const pagePieces = 32
const pageBatchesMax = 512
const pageEntries = 1_024

/**
 * The content of a ledger in PostgreSQL as pairs, under the same keys as in a key-value store and in the same order.
 * Rows and objects are stored in that form. Entries, tiles and the head are put into it, for verifications, backups and
 * copies. Each page of a scan is read by a statement of its own.
 */
export class Pairs implements PairReader {
  readonly #ledgerId: string
  readonly #query: Query
  readonly #head: () => StoredHead

  constructor(query: Query, ledgerId: string, head: () => StoredHead) {
    this.#head = head
    this.#ledgerId = ledgerId
    this.#query = query
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    switch (keys.kindOf(key)) {
      case 'entry': {
        const seq = keys.seqOfEntryKey(key)
        for await (const [entry] of this.stored(seq, seq + 1)) return entry && encodeEntry(key, entry[1]).value
        return undefined
      }
      case 'head':
        return this.#headRow()[1]
      case 'object':
        return (await this.fetched([], [keys.digestOfObjectKey(key).digest])).get(key)
      case 'tile': {
        const hashes = await tileAt(this.#query, this.#ledgerId, {
          index: keys.indexOfTileKey(key),
          level: key[1] ?? 0,
        })
        return hashes && seal(key, hashes)
      }
      default:
        return (await this.fetched([key])).get(key)
    }
  }

  /** The values under keys of rows, of notes and of the identity, and the pieces of objects, with one round trip. */
  async fetched(wanted: readonly Uint8Array[], digests: readonly string[] = []): Promise<Pick<StoreReader, 'get'>> {
    const found = new Map<string, Uint8Array>()
    const keep = (key: Uint8Array, value: Uint8Array) => void found.set(nameOf(key), value)
    await Promise.all([
      wanted.length > 0 &&
        this.#rows<[key: Buffer, value: Buffer]>(
          'SELECT key, value FROM lockstep.row WHERE ledger_id = $1 AND gen = ANY($2::smallint[]) AND key = ANY($3::bytea[])',
          [[...new Set(wanted.map(generationOf))], wanted],
        ).then((rows) => rows.forEach(([key, value]) => void keep(key, value))),
      digests.length > 0 &&
        this.#rows<Piece>(
          'SELECT digest, piece, value FROM lockstep.object WHERE ledger_id = $1 AND digest = ANY($2::bytea[])',
          [digests.map((digest) => Buffer.from(digest, 'hex'))],
        ).then((rows) => rows.forEach((piece) => void keep(keyOf(piece), piece[2]))),
    ])
    return { get: (key) => found.get(nameOf(key)) }
  }

  /** Errors: LEDGER_CORRUPT. */
  async *scan({ gte, limit = -1, lt, reverse = false }: Range): Pages {
    let left = limit < 0 ? Number.POSITIVE_INFINITY : limit
    for (const kind of reverse ? kindsInOrder.toReversed() : kindsInOrder) {
      const [from, to] = [Buffer.of(kind), Buffer.of(kind + 1)]
      if (Buffer.compare(lt, from) <= 0 || Buffer.compare(gte, to) >= 0) continue
      const range = {
        gte: Buffer.compare(gte, from) > 0 ? gte : from,
        lt: Buffer.compare(lt, to) < 0 ? lt : to,
        reverse,
      }
      for await (const page of this.#pagesOf(kind, range, left)) {
        const some = page.slice(0, left)
        left -= some.length
        if (some.length > 0) yield some
        if (left === 0) return
      }
    }
  }

  /** The checksums of pages are PostgreSQL's own to check. What it returns is checked value by value. */
  async checkFiles(): Promise<void> {}

  #pagesOf(kind: number, range: Required<Omit<Range, 'limit'>>, limit: number): Pages {
    switch (kind) {
      case keys.entryKey(0)[0]:
        return within(range, this.#entries(range))
      case keys.headKey[0]:
        return within(range, pageOf([this.#headRow()]))
      case keys.objectKey('', 0)[0]:
        return this.#objects(range)
      case keys.tileKey(0, 0)[0]:
        return within(range, this.#tiles())
      default:
        return rowPages(this.#query, this.#ledgerId, { ...range, limit })
    }
  }

  #headRow(): Pair {
    const { cursors, generation, root, size } = this.#head()
    return [keys.headKey, encode(keys.headKey, { cursors, generation, root, size })]
  }

  async *#entries({ gte, lt }: Range): Pages {
    const from = Buffer.compare(gte, keys.entryKey(0)) <= 0 ? 0 : keys.seqOfEntryKey(gte)
    const to = Buffer.compare(lt, keys.entryKey(seqMax)) >= 0 ? seqMax : keys.seqOfEntryKey(lt)
    for await (const page of this.stored(from, to)) {
      yield page.map(([seq, entry]) => {
        const key = keys.entryKey(seq)
        return [key, encodeEntry(key, entry).value]
      })
    }
  }

  /** The entries of a range as they are stored, as far as they are there. Errors: LEDGER_CORRUPT. */
  async *stored(from: number, to: number): AsyncGenerator<[seq: number, entry: StoredEntry][]> {
    const [first] = await this.#rows<[seq: number]>(
      'SELECT seq::float8 FROM lockstep.batch WHERE ledger_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1',
      [from],
    )
    let next = first?.[0] ?? from
    for (let batches = 16; ; ) {
      const rows = await this.#rows<[seq: number, count: number, lines: string, texts: string | null]>(
        `SELECT b.seq::float8, b.count, b.lines, t.texts FROM lockstep.batch b
           LEFT JOIN lockstep.text t ON t.ledger_id = b.ledger_id AND t.seq = b.seq
          WHERE b.ledger_id = $1 AND b.seq >= $2 AND b.seq < $3 ORDER BY b.seq LIMIT $4`,
        [next, to, batches],
      )
      if (rows.length === 0) return
      const page: [number, StoredEntry][] = []
      for (const [seq, count, lines, texts] of rows) {
        const split = lines.split('\n')
        if (split.length !== count)
          throw corrupt(`the batch at seq ${seq} has ${split.length} lines, not ${count}`, { seq })
        const held = texts?.split('\n')
        split.forEach((text, at) => {
          if (seq + at < from || seq + at >= to) return
          page.push([seq + at, { text, ...heldTexts(seq + at, held?.[at]) }])
        })
        next = seq + count
      }
      if (page.length > 0) yield page
      batches = Math.max(
        1,
        Math.min(pageBatchesMax, Math.floor((rows.length * pageEntries) / Math.max(1, page.length))),
      )
    }
  }

  async *#objects({ gte, lt, reverse }: Required<Omit<Range, 'limit'>>): Pages {
    // Objects are only ever scanned all together.
    if (reverse) throw corrupt('objects are scanned forwards')
    let after: Piece = [Buffer.alloc(0), -1, Buffer.alloc(0)]
    for (;;) {
      const rows = await this.#rows<Piece>(
        `SELECT digest, piece, value FROM lockstep.object WHERE ledger_id = $1 AND (digest, piece) > ($2, $3)
          ORDER BY digest, piece LIMIT $4`,
        [after[0], after[1], pagePieces],
      )
      const last = rows.at(-1)
      if (last === undefined) return
      after = last
      yield* within({ gte, lt }, pageOf(rows.map((piece): Pair => [keyOf(piece), piece[2]])))
    }
  }

  async *#tiles(): Pages {
    for (let after = [-1, 0]; ; ) {
      const rows = await this.#rows<[level: number, index: number, hashes: Buffer[], firsts: number[]]>(
        `SELECT level, index::float8, array_agg(hashes ORDER BY first) AS hashes, array_agg(first ORDER BY first) AS firsts
           FROM lockstep.tile WHERE ledger_id = $1 AND (level, index) > ($2, $3)
          GROUP BY level, index ORDER BY level, index LIMIT 256`,
        after,
      )
      const last = rows.at(-1)
      if (last === undefined) return
      after = [last[0], last[1]]
      yield rows.map(([level, index, hashes, firsts]): Pair => {
        const key = keys.tileKey(level, index)
        return [key, seal(key, wholeTile(firsts, hashes))]
      })
    }
  }

  #rows<R extends unknown[]>(text: string, values: readonly unknown[]): Promise<R[]> {
    return this.#query<R>(text, [this.#ledgerId, ...values])
  }
}

type Piece = [digest: Buffer, piece: number, value: Buffer]

const keyOf = ([digest, piece]: Piece) => keys.objectKey(digest.toString('hex'), piece)
const seqMax = 2 ** 48 - 1

/** The first bytes of keys, in order. */
const kindsInOrder = [...new Set([...Buffer.from('ehimnorstx')])]

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

async function* pageOf(page: Pair[]): Pages {
  yield page
}

async function* within({ gte, lt }: Pick<Range, 'gte' | 'lt'>, pages: Pages): Pages {
  for await (const page of pages) {
    const some = page.filter(([key]) => Buffer.compare(gte, key) <= 0 && Buffer.compare(key, lt) < 0)
    if (some.length > 0) yield some
  }
}
