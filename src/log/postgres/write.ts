import type { Frontier } from '../../merkle/frontier.ts'
import { concatBytes, hashBytes } from '../../merkle/hash.ts'
import { type Tile, tileWidth } from '../../merkle/tiles.ts'
import { putMark } from '../keyed/objects.ts'
import { digestOfObjectKey, kindOf } from '../keyed/rows/keys.ts'
import { putMeta } from '../keyed/rows/meta-row.ts'
import type { StoreBatch } from '../keyed/store.ts'
import type { Grown } from '../keyed/tree.ts'
import { putView } from '../keyed/view-write.ts'
import type { Cursors, ErasedWrite, Meta, Recorded, ViewWrite } from '../log.ts'
import { generationOf } from './pairs.ts'

/** What an append compares, and what it makes of the head. */
export interface AppendedHead {
  before: { epoch: number; root: Uint8Array; size: number }
  after: { format: number; frontier: Frontier; root: Uint8Array; size: number }
  leaseMillis: number
}

/** What is written in one statement, apart from the head. */
export interface Changes {
  batch: StoreBatch
  cursors?: { cursors: Cursors; node: string } | undefined
  /** Objects of which only the first piece, a mark, stays. */
  marked?: readonly string[]
  recorded?: readonly Recorded[]
  /** Tiles that grew, and the size of the tree before. */
  tiles?: readonly Tile[]
}

interface Appending {
  generation: number
  grown: Grown
  /** The identity that is written with the entries, if they change it. */
  raised: Meta | undefined
  recorded: readonly Recorded[]
  writes: readonly (ErasedWrite | ViewWrite)[]
}

/** What an append writes beside the head and the cursors. */
export function changesOf({ generation, grown, raised, recorded, writes }: Appending): Changes {
  const batch: StoreBatch = { puts: [], deletes: [] }
  const marked: string[] = []
  for (const write of writes) {
    if (write.view === 'erased') {
      // The other pieces are deleted by the digest, so it need not be known how many there are.
      putMark(batch, { get: () => undefined }, { digest: write.key, seq: write.value })
      marked.push(write.key)
    } else putView(batch, write, generation)
  }
  if (raised !== undefined) putMeta(batch, raised)
  return { batch, marked, recorded, tiles: grown.tiles }
}

/** A statement with its values. Its answer is `Done`. */
export interface Statement {
  text: string
  values: unknown[]
}

/** The answer to a statement: 1 if it was done, otherwise 0, and the database's clock. */
export type Done = [done: number, nowMillis: number]

/**
 * The append: one statement that compares the head and writes everything, or writes nothing. Size, root and epoch are
 * compared, so neither another writer's entries nor an earlier seat can be followed by accident.
 */
export function appendOf(ledgerId: string, head: AppendedHead, changes: Changes): Statement {
  const { after, before, leaseMillis } = head
  const to = new StatementBuilder(ledgerId)
  const [size, root, epoch] = [
    to.value(before.size, 'bigint'),
    to.value(before.root, 'bytea'),
    to.value(before.epoch, 'bigint'),
  ]
  const { recorded = [], tiles = [] } = changes
  to.part(
    'h',
    `UPDATE lockstep.head SET size = ${to.value(after.size, 'bigint')}, root = ${to.value(after.root, 'bytea')},
       frontier = ${to.value(concatBytes(...after.frontier.hashes), 'bytea')}, format = ${to.value(after.format, 'int')},
       lease_until = clock_timestamp() + ${to.value(leaseMillis, 'int')} * interval '1 ms'
     WHERE ledger_id = $1 AND size = ${size} AND root = ${root} AND epoch = ${epoch} RETURNING 1`,
  )
  if (recorded.length > 0) {
    const lines = to.value(recorded.map(({ text }) => text).join('\n'), 'text')
    const count = to.value(recorded.length, 'int')
    to.part('b', `INSERT INTO lockstep.batch SELECT $1, ${size}, ${count}, ${epoch}, ${lines} FROM h`)
    if (recorded.some(({ texts }) => texts !== undefined)) {
      const texts = recorded.map((each) => (each.texts === undefined ? '' : JSON.stringify(each.texts))).join('\n')
      to.part('x', `INSERT INTO lockstep.text SELECT $1, ${size}, ${to.value(texts, 'text')} FROM h`)
    }
  }
  if (tiles.length > 0) to.part('t', tilesSql(to, tiles, before.size))
  return to.built(changes)
}

/** Changes of derived data, of objects or of cursors, without an entry. An earlier seat writes nothing. */
export function changeOf(ledgerId: string, epoch: number, changes: Changes): Statement {
  const to = new StatementBuilder(ledgerId)
  to.part('h', `SELECT 1 FROM lockstep.head WHERE ledger_id = $1 AND epoch = ${to.value(epoch, 'bigint')}`)
  return to.built(changes)
}

/** Each tile is added as the piece by which it grew, because what is stored of it is never changed. */
function tilesSql(to: StatementBuilder, tiles: readonly Tile[], sizeBefore: number): string {
  const pieces = tiles.map(({ hashes, index, level }) => {
    const nodes = Math.floor(sizeBefore / tileWidth ** level)
    const first = level > 0 && Math.floor(nodes / tileWidth) === index ? nodes % tileWidth : 0
    return { first, hashes: hashes.subarray(first * hashBytes), index, level }
  })
  const list = [
    to.value(
      pieces.map(({ level }) => level),
      'smallint[]',
    ),
    to.value(
      pieces.map(({ index }) => index),
      'bigint[]',
    ),
    to.value(
      pieces.map(({ first }) => first),
      'smallint[]',
    ),
    to.value(
      pieces.map(({ hashes }) => bufferOf(hashes)),
      'bytea[]',
    ),
  ]
  return `INSERT INTO lockstep.tile SELECT $1, u.* FROM h, unnest(${list.join(', ')}) AS u`
}

/** Collects the parts of a statement and their values. Equal shapes give equal texts, so each is prepared once. */
class StatementBuilder {
  readonly #parts: string[] = []
  readonly #values: unknown[]

  constructor(ledgerId: string) {
    this.#values = [ledgerId]
  }

  value(value: unknown, type: string): string {
    this.#values.push(value instanceof Uint8Array ? bufferOf(value) : value)
    return `$${this.#values.length}::${type}`
  }

  part(name: string, sql: string): void {
    this.#parts.push(`${name} AS (${sql})`)
  }

  built({ batch, cursors, marked = [] }: Changes): Statement {
    const [puts, deletes] = [lastOf(batch), batch.deletes]
    const isObject = (key: Uint8Array) => kindOf(key) === 'object'
    this.#putRows(puts.filter(([key]) => !isObject(key)))
    this.#deleteRows(deletes.filter((key) => !isObject(key)))
    this.#putObjects(puts.filter(([key]) => isObject(key)))
    this.#deleteObjects(deletes.filter(isObject))
    if (marked.length > 0) {
      const digests = this.value(
        marked.map((digest) => Buffer.from(digest, 'hex')),
        'bytea[]',
      )
      this.part(
        'm',
        `DELETE FROM lockstep.object o USING h WHERE o.ledger_id = $1 AND o.digest = ANY(${digests}) AND o.piece > 0`,
      )
    }
    if (cursors !== undefined) {
      const [node, all] = [this.value(cursors.node, 'text'), this.value(JSON.stringify(cursors.cursors), 'jsonb')]
      this.part(
        'c',
        `INSERT INTO lockstep.cursor SELECT $1, ${node}, ${all} FROM h
         ON CONFLICT (ledger_id, node) DO UPDATE SET cursors = excluded.cursors`,
      )
    }
    const text = `WITH ${this.#parts.join(', ')}
      SELECT count(*)::int, extract(epoch FROM clock_timestamp())::float8 * 1000 FROM h`
    return { text, values: this.#values }
  }

  #putRows(pairs: readonly Pair[]): void {
    if (pairs.length === 0) return
    const list = [
      this.value(
        pairs.map(([key]) => generationOf(key)),
        'smallint[]',
      ),
      this.value(
        pairs.map(([key]) => bufferOf(key)),
        'bytea[]',
      ),
      this.value(
        pairs.map(([, value]) => bufferOf(value)),
        'bytea[]',
      ),
    ]
    this.part(
      'r',
      `INSERT INTO lockstep.row SELECT $1, u.* FROM h, unnest(${list.join(', ')}) AS u
       ON CONFLICT (ledger_id, gen, key) DO UPDATE SET value = excluded.value`,
    )
  }

  #deleteRows(keys: readonly Uint8Array[]): void {
    if (keys.length === 0) return
    const list = [this.value(keys.map(generationOf), 'smallint[]'), this.value(keys.map(bufferOf), 'bytea[]')]
    this.part(
      'rd',
      `DELETE FROM lockstep.row r USING h, unnest(${list.join(', ')}) AS u (gen, key)
       WHERE r.ledger_id = $1 AND r.gen = u.gen AND r.key = u.key`,
    )
  }

  #putObjects(pairs: readonly Pair[]): void {
    if (pairs.length === 0) return
    const named = pairs.map(([key]) => digestOfObjectKey(key))
    const list = [
      this.value(
        named.map(({ digest }) => Buffer.from(digest, 'hex')),
        'bytea[]',
      ),
      this.value(
        named.map(({ piece }) => piece),
        'int[]',
      ),
      this.value(
        pairs.map(([, value]) => bufferOf(value)),
        'bytea[]',
      ),
    ]
    this.part(
      'o',
      `INSERT INTO lockstep.object SELECT $1, u.* FROM h, unnest(${list.join(', ')}) AS u
       ON CONFLICT (ledger_id, digest, piece) DO UPDATE SET value = excluded.value`,
    )
  }

  #deleteObjects(keys: readonly Uint8Array[]): void {
    if (keys.length === 0) return
    const named = keys.map(digestOfObjectKey)
    const list = [
      this.value(
        named.map(({ digest }) => Buffer.from(digest, 'hex')),
        'bytea[]',
      ),
      this.value(
        named.map(({ piece }) => piece),
        'int[]',
      ),
    ]
    this.part(
      'od',
      `DELETE FROM lockstep.object o USING h, unnest(${list.join(', ')}) AS u (digest, piece)
       WHERE o.ledger_id = $1 AND o.digest = u.digest AND o.piece = u.piece`,
    )
  }
}

type Pair = readonly [key: Uint8Array, value: Uint8Array]

/** One statement can change a row once: the last value counts, and a deletion counts more. Sorted, so that no two statements wait for each other. */
function lastOf({ deletes, puts }: StoreBatch): Pair[] {
  const last = new Map<string, Pair>()
  for (const { key, value } of puts) last.set(nameOf(key), [key, value])
  for (const key of deletes) last.delete(nameOf(key))
  return [...last].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, pair]) => pair)
}

const nameOf = (key: Uint8Array) => bufferOf(key).toString('latin1')

function bufferOf(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
