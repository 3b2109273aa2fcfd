import { rowFrom } from '../domain/aggregates.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { after, type Maybe } from '../kernel/maybe.ts'
import { corrupt } from '../log/corrupt.ts'
import type { Key, LogReader, Values } from '../log/log.ts'
import { Recent } from './recent.ts'

/**
 * Thrown when a decision reads a value that is not in memory. It is not an Error, because it is no failure: the missing
 * values are loaded, and the command is decided again.
 */
export const notLoaded = Symbol('a value that is not loaded')

/** What a decision may read: values that are in memory. Every method throws `notLoaded` and notes the key otherwise. */
export interface Loaded {
  entry(seq: number): Entry | undefined
  row(stream: string): Row | undefined
  object(digest: string): unknown
  /**
   * Unlike the others, this answers undefined for a row that is not in memory, so that a decision that reads many rows
   * notes them all at once. The decision is void: the caller must check `isMissed` before it uses the decision.
   */
  state(key: string): unknown
}

/**
 * The published rows, sovereign state and objects, and entries. Recently used values stay in memory. Decisions read
 * only `loaded`; everything else awaits its values. While a batch is decided, nothing that was loaded for it is
 * forgotten (`hold`): if a cache could drop a value between two attempts, a decision might never end.
 */
export class Views {
  readonly #log: LogReader
  readonly #memory = {
    entry: new Recent<Entry>(limits.entryCacheMax),
    object: new Recent<unknown>(limits.objectCacheMax, limits.objectCacheChars),
    row: new Recent<Row>(limits.rowCacheMax),
    state: new Recent<unknown>(limits.stateCacheMax),
  }
  #missed: Key[] = []
  /** Counts publications. A value loaded before one may be out of date after it. */
  #published = 0
  #holds = 0

  constructor(log: LogReader) {
    this.#log = log
  }

  readonly loaded: Loaded = {
    entry: (seq) => (seq >= this.#log.head().size ? undefined : this.#inMemory('entry', seq)) as Entry | undefined,
    object: (digest) => this.#inMemory('object', digest),
    row: (stream) => this.#inMemory('row', stream) as Row | undefined,
    state: (key) => {
      const found = this.#memory.state.get(key)
      if (found === undefined) this.#missed.push({ view: 'state', key })
      return found === absent ? undefined : found
    },
  }

  /** Whether a decision has read values that are not in memory since the last `loadMissed`. */
  get isMissed(): boolean {
    return this.#missed.length > 0
  }

  /** Whether memory has a stream's row, or knows that the stream has no row. */
  hasRow(stream: string): boolean {
    return this.#memory.row.get(stream) !== undefined
  }

  /** Loads all values that were missed. */
  loadMissed(): Promise<void> | undefined {
    const missed = this.#missed
    this.#missed = []
    return this.load(missed)
  }

  /** Repeats a computation over `loaded` until everything that it reads is loaded. */
  async untilLoaded<T>(compute: () => T): Promise<T> {
    this.hold()
    try {
      for (;;) {
        try {
          const result = compute()
          if (!this.isMissed) return result
        } catch (error) {
          if (!this.isMissed) throw error
        }
        await this.loadMissed()
      }
    } finally {
      this.release()
    }
  }

  /** Loads the values that are not in memory, with one load of the log. Without a promise, they are there now. */
  load(keys: readonly Key[]): Promise<void> | undefined {
    if (keys.length === 0) return undefined
    const missing = keys.filter(({ view, key }) => this.#memoryOf(view)?.get(key as never) === undefined)
    if (missing.length === 0) return undefined
    const values = this.#fetch(missing)
    return values instanceof Promise ? values.then(() => {}) : undefined
  }

  entry(seq: number): Maybe<Entry | undefined> {
    return this.#value({ view: 'entry', key: seq }) as Maybe<Entry | undefined>
  }

  row(stream: string): Maybe<Row | undefined> {
    return this.#value({ view: 'row', key: stream }) as Maybe<Row | undefined>
  }

  /** The value of an object, which never changes. Errors: OBJECT_ERASED, LEDGER_CORRUPT. */
  object(digest: string): Maybe<unknown> {
    return this.#value({ view: 'object', key: digest })
  }

  /** The published rows of streams with a prefix, in the order of the streams' UTF-8; with `after`, those behind it. */
  async *rows(prefix: string, after?: string): AsyncGenerator<[stream: string, row: Row]> {
    for await (const page of this.#log.scan('row', prefix, after)) {
      const keys = page.map(([key]): Key => ({ view: 'row', key }))
      const rows = await this.#complete(
        keys,
        page.map(([, stored]) => stored),
        notKept,
      )
      for (const [index, [stream]] of page.entries()) yield [stream, rows[index] as Row]
    }
  }

  /** Keeps an object's value, so that it need not be read. */
  keep(digest: string, value: unknown, chars: number): void {
    this.#memory.object.set(digest, value, chars)
  }

  /** Nothing is forgotten from here on until `release`. */
  hold(): void {
    this.#holds += 1
  }

  release(): void {
    this.#holds -= 1
    this.#trim()
  }

  /** Takes over the changes of a durable batch. An object with a number in place of a text was erased. */
  publish(rows: ReadonlyMap<string, Row>, state: ReadonlyMap<string, unknown>, objects = noObjects): void {
    this.#published += 1
    for (const [stream, row] of rows) this.#memory.row.set(stream, row)
    for (const [key, value] of state) this.#memory.state.set(key, value ?? absent)
    for (const [digest, value] of objects) if (typeof value === 'number') this.#memory.object.delete(digest)
    this.#trim()
  }

  /** Forgets everything that another writer may have changed. */
  clear(): void {
    this.#published += 1
    this.#memory.object.clear()
    this.#memory.row.clear()
    this.#memory.state.clear()
  }

  #memoryOf(view: Key['view']): Recent<unknown> | undefined {
    return (this.#memory as Partial<Record<Key['view'], Recent<unknown>>>)[view]
  }

  #inMemory(view: 'entry' | 'object' | 'row', key: string | number): unknown {
    const found = (this.#memory[view] as Recent<unknown>).get(key)
    if (found === undefined) {
      this.#missed.push({ view, key } as Key)
      throw notLoaded
    }
    return found === absent ? undefined : found
  }

  #value(key: Key): Maybe<unknown> {
    const found = this.#memoryOf(key.view)?.get(key.key as never)
    if (found !== undefined) return found === absent ? undefined : found
    return after(this.#fetch([key]), ([value]) => value)
  }

  #fetch(keys: readonly Key[]): Maybe<Values> {
    const before = this.#published
    return after(this.#log.load(keys), (values) => this.#complete(keys, values, before))
  }

  /** Some rows omit what is in an entry; the entries are loaded with one more load. */
  #complete(keys: readonly Key[], values: Values, before: number): Maybe<Values> {
    const entries = new Map<number, Entry | undefined>()
    const complete = () => {
      const missing: Key[] = []
      const entryAt = (seq: number) => {
        if (!entries.has(seq)) missing.push({ view: 'entry', key: seq })
        return entries.get(seq)
      }
      const completed = keys.map((key, index) => completedValue(key, values[index], entryAt, missing))
      return { completed, missing }
    }
    const { completed, missing } = complete()
    if (missing.length === 0) return this.#keep(keys, { completed, values, before })
    return after(this.#log.load(missing), (found) => {
      missing.forEach(({ key }, index) => void entries.set(key as number, found[index] as Entry | undefined))
      return this.#keep(keys, { completed: complete().completed, values, before })
    })
  }

  #keep(
    keys: readonly Key[],
    { before, completed, values }: { before: number; completed: Values; values: Values },
  ): Values {
    const isCurrent = this.#published === before
    keys.forEach(({ key, view }, index) => {
      const value = completed[index]
      if (view === 'entry') {
        if (value !== undefined) this.#memory.entry.set(key, value as Entry)
      } else if (view === 'object') {
        this.#memory.object.set(key, value, String(values[index]).length)
      } else if (isCurrent) this.#memoryOf(view)?.set(key as never, value ?? absent)
    })
    this.#trim()
    return completed
  }

  #trim(): void {
    if (this.#holds > 0) return
    for (const recent of Object.values(this.#memory)) recent.trim()
  }
}

const noObjects: ReadonlyMap<string, unknown> = new Map()
/** Rows of a scan stay out of memory: they would replace the rows in use. */
const notKept = -1
const absent: never = Symbol('a value that does not exist') as never

/** The value as it is used. A row that needs an entry that is not loaded yet is incomplete; `missing` then names it. */
function completedValue(
  key: Key,
  value: unknown,
  entryAt: (seq: number) => Entry | undefined,
  missing: readonly Key[],
): unknown {
  if (value === undefined) return undefined
  if (key.view === 'object') return JSON.parse(value as string)
  if (key.view !== 'row') return value
  const before = missing.length
  const row = rowFrom(key.key, value as Row, entryAt)
  if (row !== undefined || missing.length > before) return row
  throw corrupt(`the row of ${key.key} names an entry of another stream`, { check: 'rows', stream: key.key })
}
