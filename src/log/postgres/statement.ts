import type { Tile } from '../../merkle/tiles.ts'
import type { ErasedWrite } from '../erased.ts'
import { digestOfObjectKey, kindOf } from '../keyed/rows/keys.ts'
import type { StoreBatch } from '../keyed/store.ts'
import type { Cursors, Recorded } from '../log.ts'
import { generationOf } from './row-pages.ts'

/** What is written in one statement, apart from the head. */
export interface Changes {
  batch: StoreBatch
  cursors?: { cursors: Cursors; node: string } | undefined
  /** Free texts of earlier entries that are erased. */
  erased?: readonly Extract<ErasedWrite, { view: 'texts' }>[]
  /** Objects of which only the first piece, a mark, stays. */
  marked?: readonly string[]
  recorded?: readonly Recorded[]
  /** Tiles that grew, and the size of the tree before. */
  tiles?: readonly Tile[]
}

/** A statement with its values. Its answer is `Done`. */
export interface Statement {
  text: string
  values: unknown[]
}

/** The answer to a statement: 1 if it was done, otherwise 0, and the database's clock. */
export type Done = [done: number, nowMillis: number]

/** Collects the parts of a statement and their values. Equal shapes give equal texts, so each is prepared once. */
export class StatementBuilder {
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
    const list = [...this.#rowKeys(pairs.map(keyOf)), this.#bytes(pairs.map(contentOf))]
    this.part(
      'r',
      `INSERT INTO lockstep.row SELECT $1, u.* FROM h, unnest(${list.join(', ')}) AS u
       ON CONFLICT (ledger_id, gen, key) DO UPDATE SET value = excluded.value`,
    )
  }

  #deleteRows(keys: readonly Uint8Array[]): void {
    if (keys.length === 0) return
    this.part(
      'rd',
      `DELETE FROM lockstep.row r USING h, unnest(${this.#rowKeys(keys).join(', ')}) AS u (gen, key)
       WHERE r.ledger_id = $1 AND r.gen = u.gen AND r.key = u.key`,
    )
  }

  #putObjects(pairs: readonly Pair[]): void {
    if (pairs.length === 0) return
    const list = [...this.#pieceKeys(pairs.map(keyOf)), this.#bytes(pairs.map(contentOf))]
    this.part(
      'o',
      `INSERT INTO lockstep.object SELECT $1, u.* FROM h, unnest(${list.join(', ')}) AS u
       ON CONFLICT (ledger_id, digest, piece) DO UPDATE SET value = excluded.value`,
    )
  }

  #deleteObjects(keys: readonly Uint8Array[]): void {
    if (keys.length === 0) return
    this.part(
      'od',
      `DELETE FROM lockstep.object o USING h, unnest(${this.#pieceKeys(keys).join(', ')}) AS u (digest, piece)
       WHERE o.ledger_id = $1 AND o.digest = u.digest AND o.piece = u.piece`,
    )
  }

  /** The columns `gen` and `key` of rows. */
  #rowKeys(keys: readonly Uint8Array[]): string[] {
    return [this.value(keys.map(generationOf), 'smallint[]'), this.#bytes(keys)]
  }

  /** The columns `digest` and `piece` of objects. */
  #pieceKeys(keys: readonly Uint8Array[]): string[] {
    const named = keys.map(digestOfObjectKey)
    const digests = named.map(({ digest }) => Buffer.from(digest, 'hex'))
    const pieces = named.map(({ piece }) => piece)
    return [this.value(digests, 'bytea[]'), this.value(pieces, 'int[]')]
  }

  #bytes(all: readonly Uint8Array[]): string {
    return this.value(all.map(bufferOf), 'bytea[]')
  }
}

type Pair = readonly [key: Uint8Array, value: Uint8Array]

const keyOf = ([key]: Pair) => key
const contentOf = ([, value]: Pair) => value

/**
 * One statement can change a row once: the last value counts, and a deletion counts more. Sorted, so that no two
 * statements wait for each other.
 */
function lastOf({ deletes, puts }: StoreBatch): Pair[] {
  const last = new Map<string, Pair>()
  for (const { key, value } of puts) last.set(nameOf(key), [key, value])
  for (const key of deletes) last.delete(nameOf(key))
  return [...last].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, pair]) => pair)
}

const nameOf = (key: Uint8Array) => bufferOf(key).toString('latin1')

export function bufferOf(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
