/** Erases what an entry of the same append records. */
export type ErasedWrite =
  /** An object. The value is the seq of the entry that records it. */
  | { view: 'erased'; key: string; value: number }
  /** Free texts of an earlier entry, by its seq. The value is their paths. What is hashed of the entry stays as it is. */
  | { view: 'texts'; key: number; value: readonly string[] }

/** The name of the cursor below which nothing is left of erased texts. */
export const erasureCursor = 'erasure'

/** What was erased, and may be left in files. */
export interface Erased {
  digests: ReadonlySet<string>
  /** The streams whose rows had free texts. */
  rows: ReadonlySet<string>
  /** The entries that had free texts. */
  seqs: ReadonlySet<number>
}
