/** The file in the new folder that holds what stands after the gap. */
export const afterName = 'after-the-gap.jsonl'

/** What was found in a damaged database. */
export interface Found {
  /** How many readable entries stand after the prefix. */
  after: number
  /** One more than the highest seq that was found. */
  end: number
  /** Why the prefix ends where it does; null if nothing is wrong. */
  problem: string | null
  /** The number of entries of the prefix. */
  size: number
}
