import { LockstepError } from '../../errors.ts'
import { sameBytes } from '../../merkle/hash.ts'
import { corrupt } from '../corrupt.ts'
import { IndexRows } from '../keyed/index-rows.ts'
import { Objects } from '../keyed/objects.ts'
import { noteKey } from '../keyed/rows/keys.ts'
import type { Appended, Key, Log, Meta, SignedHead, TreeHeadFile, Values } from '../log.ts'
import type { IndexWrite, LogIndex, LogObjects } from '../log-parts.ts'
import { rootOf } from '../tiles.ts'
import type { Session } from './database.ts'
import type { PostgresParts } from './parts.ts'
import { type Known, PostgresReader, readKnown } from './reader.ts'

/** What a copy has from the log that it is of. */
interface Original {
  headFile: TreeHeadFile | undefined
  meta: Meta
  /** Signs a size of the ledger itself, once it was compared with the copy. */
  sign: (size: number, compare: (log: Log) => Promise<void>) => Promise<SignedHead>
}

interface CopyParts extends Original {
  known: Known
  ledgerId: string
  session: Session
}

/**
 * A private copy of a log in PostgreSQL: a snapshot that takes no entries. The index can be derived further in it; those
 * rows are in memory. It has a connection until it is closed.
 */
export class PostgresCopy extends PostgresReader implements Log {
  readonly meta: Meta
  readonly counts = { batches: 0, entries: 0, puts: 0 }
  readonly custody = undefined
  readonly objects: LogObjects
  readonly index: OverlaidIndex
  readonly #parts: CopyParts

  private constructor(parts: CopyParts) {
    const { known, ledgerId, meta, session } = parts
    super({ ledgerId, query: session.query }, known)
    this.#parts = parts
    this.meta = meta
    const scan = this.pairs.scan.bind(this.pairs)
    this.objects = new Objects({
      fetched: (digests, notes = []) => this.pairs.fetched(notes.map(noteKey), digests),
      scan,
      write: refused,
    })
    this.index = new OverlaidIndex(new IndexRows({ generation: () => known.head.generation, scan, write: refused }))
  }

  static async of({ database, ledgerId, node }: PostgresParts, original: Original): Promise<PostgresCopy> {
    const session = await database.snapshot({ isOwn: true })
    try {
      const known = await readKnown({ ledgerId, query: session.query }, node)
      return new PostgresCopy({ ...original, known, ledgerId, session })
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  override async load(asked: readonly Key[]): Promise<Values> {
    const values = await super.load(asked)
    return values.map((value, at) => {
      const key = asked[at]
      return key?.view === 'index' && this.index.has(key.key) ? this.index.valueOf(key.key) : value
    })
  }

  append(): Promise<Appended> {
    return refused()
  }

  async follow() {
    return this.head()
  }

  keepCursors(): Promise<void> {
    return refused()
  }

  async purge(): Promise<boolean> {
    return true
  }

  headFile(): TreeHeadFile | undefined {
    return this.#parts.headFile
  }

  /** The ledger itself signs, if it has the same tree of that size. Errors: LEDGER_CORRUPT, those of the signer. */
  sign(size: number): Promise<SignedHead> {
    return this.#parts.sign(size, async (log) => {
      if (sameBytes(await rootOf(log, size), await rootOf(this, size))) return
      throw corrupt(`the copy has another tree of size ${size} than the ledger, so nothing was signed`)
    })
  }

  keepHead(): Promise<boolean> {
    return refused()
  }

  raise(): void {
    refused()
  }

  /** The copy is of one moment already. */
  async snapshot() {
    const { known, ledgerId, session } = this.#parts
    return Object.assign(new PostgresReader({ ledgerId, query: session.query }, known), { close: async () => {} })
  }

  copy(): Promise<Log> {
    return refused()
  }

  close(): Promise<void> {
    return this.#parts.session.end()
  }
}

function refused(): never {
  throw new LockstepError('INVARIANT_VIOLATED', 'a copy of a log takes no entries')
}

/** The index of a copy: what is written to it covers what is stored. */
class OverlaidIndex implements LogIndex {
  readonly counts = { batches: 0, rows: 0 }
  readonly #stored: IndexRows
  readonly #written = new Map<string, Uint8Array | undefined>()

  constructor(stored: IndexRows) {
    this.#stored = stored
  }

  has(key: Uint8Array): boolean {
    return this.#written.has(nameOf(key))
  }

  valueOf(key: Uint8Array): Uint8Array | undefined {
    return this.#written.get(nameOf(key))
  }

  async write(writes: readonly IndexWrite[]): Promise<void> {
    for (const { key, value } of writes) this.#written.set(nameOf(key), value && Buffer.from(value))
  }

  async *pages(from: Uint8Array, to: Uint8Array, limit = -1): AsyncGenerator<[key: Buffer, value: Buffer][]> {
    let left = limit < 0 ? Number.POSITIVE_INFINITY : limit
    for await (const page of this.#merged(from, to)) {
      if (page.length > 0 && left > 0) yield page.slice(0, left)
      left -= page.length
      if (left <= 0) return
    }
  }

  async *#merged(from: Uint8Array, to: Uint8Array): AsyncGenerator<[key: Buffer, value: Buffer][]> {
    const [first, last] = [nameOf(from), nameOf(to)]
    const own = [...this.#written].filter(([name]) => first <= name && name < last).sort(byName)
    let at = 0
    const ownBefore = (name: string | undefined) => {
      const begin = at
      while (own[at] !== undefined && (name === undefined || (own[at]?.[0] ?? '') < name)) at += 1
      return own.slice(begin, at).flatMap(([key, value]) => (value === undefined ? [] : [pairOf(key, value)]))
    }
    for await (const page of this.#stored.pages(from, to)) {
      yield page.flatMap(([key, value]) => {
        const name = nameOf(key)
        const before = ownBefore(name)
        return this.#written.has(name) ? before : [...before, [key, value] as [Buffer, Buffer]]
      })
    }
    yield ownBefore(undefined)
  }
}

const nameOf = (key: Uint8Array) => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
const pairOf = (name: string, value: Uint8Array): [Buffer, Buffer] => [Buffer.from(name, 'latin1'), value as Buffer]
const byName = ([one]: [string, unknown], [other]: [string, unknown]) => (one < other ? -1 : 1)
