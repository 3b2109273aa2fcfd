import type { Entry } from '../kernel/entry.ts'

/**
 * Brings files outside the log in line with its entries. Handling the same entry twice must change nothing, so a
 * crash between the effect and the cursor update does no harm.
 */
export interface Reactor {
  /** Names the reactor's cursor. Never changes. */
  name: string
  /** Whether the reactor handles this entry. It is called for every entry, so it must be cheap. */
  concerns(entry: Entry): boolean
  /**
   * Rejects when the effect cannot be carried out now. The entry is retried, and later entries of its stream wait.
   * Returns `left` when a manual change is in the way; that is reported once and not retried.
   */
  handle(entry: Entry): Promise<'done' | 'left'>
}
