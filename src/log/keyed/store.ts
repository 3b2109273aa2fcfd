import type { Maybe } from '../../kernel/maybe.ts'

/** An atomic write: either all of it is applied or nothing. */
export interface StoreBatch {
  puts: { key: Uint8Array; value: Uint8Array }[]
  deletes: Uint8Array[]
}

export interface Range {
  gte: Uint8Array
  lt: Uint8Array
  reverse?: boolean
  limit?: number
}

/**
 * Read access to the values under keys, in any engine.
 * Errors: LEDGER_CORRUPT if damage is found, LEDGER_UNAVAILABLE if the store cannot be read, LEDGER_CLOSED.
 */
export interface PairReader {
  /** The value under a key: at once from a store in this process, as a promise from elsewhere. */
  get(key: Uint8Array): Maybe<Uint8Array | undefined>
  /** Pages of pairs in key order, as of the moment when the first page is requested. */
  scan(range: Range): AsyncGenerator<[Uint8Array, Uint8Array][]>
  /**
   * Verifies the checksums of the table files. Ordinary reads do not do this, and a damaged index hides pairs without
   * an error.
   * Errors: LEDGER_CORRUPT.
   * Cost: a pass over the files.
   */
  checkFiles(): Promise<void>
}

/** Read access to a store in this process. */
export interface StoreReader extends PairReader {
  /** The value under a key, read synchronously. */
  get(key: Uint8Array): Uint8Array | undefined
}

/** The content of the store at one moment. Later writes do not affect it. */
export interface StoreSnapshot extends StoreReader {
  close(): Promise<void>
}

/** Whether a file may keep a value of a key. */
export type IsKept = (key: Uint8Array, value: Uint8Array) => boolean

/** A key-value store: LevelDB, or a test's store that fails before or after it persists a batch. */
export interface Store extends StoreReader {
  /** Applies the batch and syncs it to the disk before it resolves. */
  write(batch: StoreBatch): Promise<void>
  /** Keeps the current content readable until the snapshot is closed. */
  snapshot(): StoreSnapshot
  /**
   * Copies the database into an empty folder, with hard links to immutable files. Nothing may be written during the
   * copy.
   */
  copyTo(folder: string): void
  /** Moves what is only in memory and in the write-ahead log into files that `rewrite` writes again. */
  flush(): Promise<void>
  /**
   * Writes the files again that have keys in these ranges, which are sorted and disjoint. Resolves with false if a file
   * is left with a value of such a key that `isKept` refuses, for example because a reader holds the file. A value is
   * dropped if a file that was flushed later has another value or a deletion of its key.
   */
  rewrite(ranges: readonly Range[], isKept: IsKept): Promise<boolean>
  /** Waits, for a limited time, until only a few files remain to be compacted. */
  settle(millisMax: number): Promise<void>
  close(): Promise<void>
}
