import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { after, type Maybe } from '../kernel/maybe.ts'
import type { Key, LogReader, Values } from '../log/log.ts'
import { completedValue } from './completed-value.ts'
import { type Loaded, notLoaded } from './loaded.ts'
import { Recent } from './recent.ts'

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
  /** Counts publications that erased something. An entry or object that was loaded before one may have its text. */
  #erasures = 0
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

  /**
   * Takes over the changes of a durable batch, and forgets what it erased: an object with a number in place of a text,
   * and the entries with these seqs.
   */
  publish(
    rows: ReadonlyMap<string, Row>,
    state: ReadonlyMap<string, unknown>,
    objects: ReadonlyMap<string, unknown> = new Map(),
    texts: ReadonlyMap<number, unknown> = new Map(),
  ): void {
    this.#published += 1
    for (const [stream, row] of rows) this.#memory.row.set(stream, row)
    for (const [key, value] of state) this.#memory.state.set(key, value ?? absent)
    for (const seq of texts.keys()) this.#forget('entry', seq)
    for (const [digest, value] of objects) if (typeof value === 'number') this.#forget('object', digest)
    this.#trim()
  }

  /** Forgets everything that another writer may have changed. */
  clear(): void {
    this.#published += 1
    this.#erasures += 1
    for (const recent of Object.values(this.#memory)) recent.clear()
  }

  #forget(view: 'entry' | 'object', key: number | string): void {
    this.#erasures += 1
    this.#memory[view].delete(key)
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
    const before = { erasures: this.#erasures, published: this.#published }
    return after(this.#log.load(keys), (values) => this.#complete(keys, values, before))
  }

  /** Some rows omit what is in an entry; the entries are loaded with one more load. */
  #complete(keys: readonly Key[], values: Values, before: Moment): Maybe<Values> {
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
    { before, completed, values }: { before: Moment; completed: Values; values: Values },
  ): Values {
    const isCurrent = this.#published === before.published
    const isWhole = this.#erasures === before.erasures
    keys.forEach(({ key, view }, index) => {
      const value = completed[index]
      if (view === 'entry') {
        if (value !== undefined && isWhole) this.#memory.entry.set(key, value as Entry)
      } else if (view === 'object') {
        if (isWhole) this.#memory.object.set(key, value, String(values[index]).length)
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

/** How many publications there were when values were loaded. */
interface Moment {
  erasures: number
  published: number
}

/** Rows of a scan stay out of memory: they would replace the rows in use. */
const notKept: Moment = { erasures: -1, published: -1 }

const absent: never = Symbol('a value that does not exist') as never
