// The parts of a log beside its entries (`log.ts`).

/** A change of the search index. It is written off the hot path, in a batch of its own (`LogIndex`). */
export interface IndexWrite {
  view: 'index'
  key: Uint8Array
  value: Uint8Array | undefined
}

/** A clock that several machines share. */
export interface SharedClock {
  /** Names the clock, as the boot id of a lease clock. */
  readonly boot_id: string
  /** Milliseconds since 1970. Never ahead of the clock. */
  millis(): number
}

/** A right to write that passes from process to process: `epoch` counts the changes. */
export interface Term {
  epoch: number
  node: string
  /** The history of the store in which it counts. */
  system: string
  timeline: string
}

/** What an engine knows about whether the ledger was taken from this process. Errors: LEDGER_MOVED. */
export interface Holding {
  /** What this process records of its right to write, before it writes anything else. */
  readonly term?: Term | undefined
  /** Called before an answer that needs no write. */
  assertBefore(): void
  /** Looks again. */
  assertInPlace(): void
  /** Throws if an earlier look failed; costs nothing. */
  assertNotMoved(): void
}

/** A note about objects that are being stored. No entry before `size` names any of them, unless it was erased. */
export interface Note {
  digests: readonly string[]
  /** Those that were erased before, with the seqs of the entries that record it. */
  erased?: readonly (readonly [digest: string, seq: number])[]
  size: number
}

/**
 * Texts stored under their SHA-256, before the entry that names them. Each write includes a note of its content, and
 * the append of the entry deletes the notes. After a crash, the remaining notes show which objects have no entry.
 */
export interface LogObjects {
  /** The seq of the entry that records the erasure of an object; undefined if it is not erased. */
  erasedAt(digest: string): number | undefined | Promise<number | undefined>
  /** The digests that are not stored. */
  missing(digests: readonly string[]): readonly string[] | Promise<readonly string[]>
  /** Stores objects in several durable writes and returns the numbers of their notes. */
  put(objects: Iterable<readonly [digest: string, text: string]>, size: number): Promise<number[]>
  /** All notes, oldest first. */
  notes(): Promise<{ number: number; note: Note }[]>
  /** Deletes notes, and objects that no entry names. An object that was erased before is erased again. */
  drop(digests: readonly string[], notes: readonly number[]): Promise<void>
}

/** The rows of the search index. */
export interface LogIndex {
  /** Exact counts of index writes. */
  readonly counts: { batches: number; rows: number }
  /** Pages of keys and values in the half-open range, in byte order. A negative limit means none. */
  pages(from: Uint8Array, to: Uint8Array, limit?: number): AsyncGenerator<[key: Buffer, value: Buffer][]>
  /** Writes all of the changes or none, durably. Errors: LEDGER_UNAVAILABLE. */
  write(writes: readonly IndexWrite[]): Promise<void>
}
