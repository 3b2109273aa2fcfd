import type { Entry } from '../kernel/entry.ts'
import type { StoredEntry } from './free-texts.ts'
import type { Note } from './log-parts.ts'

/**
 * One check of a verification. All checks share one pass over the store. It calls `entry` with each entry, in order,
 * then the others with what else the store holds, and `end` last. Each throws VERIFY_FAILED or LEDGER_CORRUPT.
 */
export interface Check {
  /** An entry with its free texts, and what is stored of it. The stored text is known to match its hash. */
  entry?(entry: Entry, stored: StoredEntry): void
  /** A row in force, still encoded. */
  row?(key: Uint8Array, value: Uint8Array): void
  /** A row of sovereign state in force. */
  state?(key: string, value: unknown): void
  /** A piece of a stored object. */
  object?(digest: string, piece: number): void
  note?(note: Note): void
  end?(found: Found): void
}

/** What the store holds: the number of entries, and of blocks of receipts and index rows in force. */
export interface Found {
  /** The root of the first entries, from the tree that was verified. */
  rootAt(size: number): Uint8Array
  size: number
  receipts: number
  index: number
}
