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
  /**
   * Rejects where it cannot be done now: it is tried again, and no later entry of that stream is handled before.
   * `left` where a person's hand is in the way, which is said once and not tried again.
   */
  handle(entry: Entry): Promise<'done' | 'left'>
}
