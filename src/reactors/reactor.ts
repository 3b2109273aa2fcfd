import type { Entry } from '../core/entry.ts'

/**
 * Makes something outside the log agree with it. Handling an entry again must change nothing, so that a crash
 * between the effect and its cursor does no harm.
 */
export interface Reactor {
  /** Names its cursor; permanent. */
  name: string
  /** Whether an entry means anything to it; asked for every entry, so it is cheap. */
  concerns(entry: Entry): boolean
  /** Rejects where it cannot be done now; it is asked again, and nothing after it is handled before. */
  handle(entry: Entry): Promise<void>
}
