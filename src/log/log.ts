import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Erased, ErasedWrite } from './erased.ts'
import type { StoredEntry } from './free-texts.ts'
import type { Holding, IndexWrite, LogIndex, LogObjects, SharedClock } from './log-parts.ts'

// The port of an engine. An engine keeps the entries of a ledger and the data derived from them. It knows nothing of
// locks, runs or turns. `test/engine/` holds every engine to these interfaces.

/** The identity of a ledger. Entry 0, or the newest `ledger.restored` entry, contains the same facts. */
export interface Meta {
  /** Its format. A `ledger.upgraded` entry raises it. */
  format: number
  /**
   * The secret under which entries of format 2 state digests of what callers sent (`keyedDigest`). It is in backups, and
   * in nothing that leaves the ledger otherwise.
   */
  digest_key?: Uint8Array
  ledger_id: string
  origin: string
  /** The name of the place that these entries are in, once a ledger was moved to it (`domain/log/seal.ts`). */
  place?: string
  /** Every restore of this ledger, oldest first. Absent in a ledger that was never restored. */
  restored?: readonly Restored[]
}

/** The identity of a ledger that is being made. Its format is this version's, unless it is stated. */
export type NewMeta = Omit<Meta, 'format'> & Partial<Pick<Meta, 'format'>>

/** A restore: the seq of its entry, and what each later token adds to the seq of its grant (ADR 0049). */
export interface Restored {
  seq: number
  token_offset: number
}

/** What the next token adds to the seq of its grant. */
export function tokenOffset({ restored }: Meta): number {
  return restored?.at(-1)?.token_offset ?? 0
}

/** The seq of the grant with a token. */
export function seqOfToken({ restored = [] }: Meta, token: number): number {
  const restore = restored.findLast(({ seq, token_offset }) => token >= seq + token_offset)
  return token - (restore?.token_offset ?? 0)
}

/** The next seq for each reactor, by reactor name. */
export type Cursors = Record<string, number>

/** The number of durable entries, the root of their tree, and the reactors' cursors. */
export interface Head {
  cursors: Cursors
  /** How often the right to write has changed hands. Absent in an engine that only one process can have open. */
  epoch?: number
  root: Uint8Array
  size: number
}

/** The size of a tree, its root in hex, and the ledger that it is of. */
export interface TreeHead {
  origin: string
  size: number
  root: string
}

/** A tree head and the signed note that states it (C2SP tlog-checkpoint). */
export interface SignedHead extends TreeHead {
  note: string
}

/** A tree head that an engine keeps outside its store, to notice when the store is set back. */
export interface TreeHeadFile extends TreeHead {
  /** Absent in format 1. */
  note?: string
  /** A newer head that is not signed yet. */
  reached?: { root: string; size: number }
}

/** Names one value. Its type is given with each view. */
export type Key =
  /** An entry with its free texts; absent at or past the end. Errors: LEDGER_CORRUPT if it is missing. */
  | { view: 'entry'; key: number }
  /** The same as it is stored (`StoredEntry`): the text that is hashed, and the free texts. */
  | { view: 'stored'; key: number }
  /** The stored form of a stream's row (`storedRow`). */
  | { view: 'row'; key: string }
  /** A row of sovereign state: any JSON value. */
  | { view: 'state'; key: string }
  /** The text with a SHA-256. Errors: OBJECT_ERASED; LEDGER_CORRUPT if it is missing or does not match. */
  | { view: 'object'; key: string }
  /** A block of receipts, as bytes. */
  | { view: 'receipts'; key: number }
  /** A row of the search index, as bytes. */
  | { view: 'index'; key: Uint8Array }
  /** A tile of the Merkle tree, as bytes. The last tile of level 0 is as wide as there are entries. */
  | { view: 'tile'; key: { level: number; index: number } }

/** The values under the keys of a load, in the order of the keys. A key without a value gives undefined. */
export type Values = readonly unknown[]

/** A change that is written in the same batch as the entries it follows from. Undefined deletes the value. */
export type ViewWrite =
  | { view: 'row'; key: string; value: Row }
  | { view: 'receipts'; key: number; value: Uint8Array | undefined }
  | { view: 'state'; key: string; value: unknown }
  | { view: 'object'; key: string; value: string }
  /** Deletes a note about objects that waited for an entry. */
  | { view: 'note'; key: number }
  | IndexWrite

export type ReceiptsWrite = Extract<ViewWrite, { view: 'receipts' }>

/** An entry, and what is stored of it. The writer made the canonical text to check its size, and the log hashes it. */
export interface Recorded extends StoredEntry {
  entry: Entry
}

/** `moved` means that another writer appended first, and that nothing was written. The caller decides again. */
export type Appended = { outcome: 'done' } | { outcome: 'moved'; head: Head }

/** Reads of durable data. */
export interface LogReader {
  head(): Head
  /**
   * Loads values. An engine that has them at hand answers at once, without a promise, so that the caller need not
   * wait for a turn of the event loop.
   * Errors: LEDGER_CORRUPT, LEDGER_UNAVAILABLE, LEDGER_CLOSED, LEDGER_MOVED.
   */
  load(keys: readonly Key[]): Values | Promise<Values>
  /** The entries of a range, in pages. `to` defaults to the end. Errors: LEDGER_CORRUPT if an entry is missing. */
  entries(from: number, to?: number): AsyncGenerator<Entry[]>
  /** The same as they are stored. */
  storedEntries(from: number, to?: number): AsyncGenerator<StoredEntry[]>
  /**
   * Pages of stored rows or rows of sovereign state whose keys have a prefix, in the order of the keys' UTF-8. With
   * `after`, only those behind that key.
   */
  scan(view: 'row' | 'state', prefix: string, after?: string): AsyncGenerator<[key: string, value: unknown][]>
}

/** The log at one moment. It stays readable while others append, until it is closed. */
export interface LogSnapshot extends LogReader {
  close(): Promise<void>
}

/**
 * The append-only log of one ledger, as an engine provides it: entries, their Merkle tiles, the head, and the views
 * derived from the entries. One append is one atomic, durable batch. Reads return only durable data.
 */
export interface Log extends LogReader {
  readonly meta: Meta
  /** Exact counts of what was written, for tests and benches. */
  readonly counts: { batches: number; entries: number; puts: number }
  readonly objects: LogObjects
  readonly index: LogIndex
  /** The clock that all processes of the ledger share; undefined if each has the clock of its machine. */
  readonly clock?: SharedClock | undefined
  /** Tells whether the ledger is still this process's own; undefined if no other process can take it. */
  readonly custody: Holding | undefined
  /**
   * Appends entries with everything that is derived from them, in one durable batch, or writes nothing. The next
   * append may be called before the last one ended; it is written after it. After a rejection the outcome is unknown,
   * and the log must be reopened before further use.
   */
  append(
    expected: { size: number },
    recorded: readonly Recorded[],
    writes: readonly (ErasedWrite | ViewWrite)[],
    cursors: Cursors,
  ): Promise<Appended>
  /** Takes in what others have appended. Resolves with the newest head. */
  follow(): Promise<Head>
  /** Makes cursors durable without an entry. */
  keepCursors(cursors: Cursors): Promise<void>
  /**
   * Removes what is left of erased texts from the files: an erasure hides a text, and only this removes its bytes.
   * Resolves with false if an open reader still keeps older files. It is then called again later. Cost: the tables that
   * have objects, entries or rows are written again, as far as some of them were erased, beside the appends.
   */
  purge(erased: Erased): Promise<boolean>
  /** The tree head that the engine keeps outside the store; undefined if it keeps none. Errors: LEDGER_CORRUPT. */
  headFile(): TreeHeadFile | undefined
  /**
   * The signed tree head of a size, once it is proven that the tree continues the last signed head (`Heads`). Errors:
   * LEDGER_CORRUPT, FILE_DENIED, NOT_FOUND (no key), LEDGER_UNAVAILABLE (a copy, of which no signed head covers the size).
   */
  sign(size: number): Promise<SignedHead>
  /** Signs and keeps the newest head. Returns false if it could not be signed. Errors: those of `sign`. */
  keepHead(): Promise<boolean>
  /** The next append also states this version's format in the meta row. Its entry must record this. */
  raise(): void
  snapshot(): Promise<LogSnapshot>
  /** A private copy for long reads, so that this process can let go of the ledger. Closing it removes it. */
  copy(): Promise<Log>
  /** Makes everything durable and lets go of the ledger. */
  close(): Promise<void>
}
