import type { LocalLedger } from '../../src/ledger.ts'
import { turnId } from '../support/pages.ts'

/** The run whose turns are promoted. */
export const run_id = 'run_files_1'

type Turn = Omit<Parameters<LocalLedger['turns']['apply']>[0], 'run_id' | 'turn_id'>

/** Promotes turns one after the other, from the number on. */
export async function promote(ledger: LocalLedger, turns: Turn[], { from = 1, run = run_id } = {}): Promise<void> {
  for (const [index, turn] of turns.entries()) {
    await ledger.turns.apply({ ...turn, run_id: run, turn_id: turnId(from + index) })
  }
}
