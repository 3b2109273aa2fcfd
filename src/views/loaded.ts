import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'

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
