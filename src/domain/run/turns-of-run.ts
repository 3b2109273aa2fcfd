import type { EventDraft } from '../../kernel/entry.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'
import { noIssues } from '../turn/events.ts'
import { evolveTurns, noTurns, openTurnOf, type TurnChain, type TurnPhase } from '../turn/state.ts'
import { turnIdOf } from '../turn/turn-id.ts'

export type { TurnChain } from '../turn/state.ts'

// The parts of turns that decisions on runs use. Aggregates do not import each other, so this module connects them. The
// turns of a run are in its row, because a run can end only if its turns allow it, and turns need a running run.

/** The turns of a run after its next entry; undefined while it has none. */
export function turnsAfter<Entry extends Parameters<typeof evolveTurns>[1]>(
  turns: TurnChain | undefined,
  entry: Entry,
): TurnChain {
  return evolveTurns(turns ?? noTurns, entry)
}

/** `last_promoted_turn_id` of a run (Run Lifecycle Contract, Law 2). */
export function lastPromotedTurnId(turns: TurnChain | undefined): string {
  return turnIdOf(turns?.last ?? 0)
}

/** The name of the turn that keeps a run from completing. */
export function openTurnId(turns: TurnChain | undefined): string | undefined {
  const open = turns && openTurnOf(turns)
  return open && turnIdOf(open.number)
}

/** The rejection of the open turn, if the run is completed with `discard_turn`. */
export function discardedTurn(
  turns: TurnChain | undefined,
  { run_id, stream }: { run_id: string; stream: string },
): EventDraft[] {
  const open = turns && openTurnOf(turns)
  if (open === undefined) return []
  const data = {
    by: 'completion',
    code: null,
    issues: noIssues,
    manifest_digest: open.staged?.manifest_digest ?? null,
    reason: 'discarded when its run was completed',
    run_id,
    turn_id: turnIdOf(open.number),
  }
  return [{ type: 'turn.rejected', stream, data }]
}

/** A phase of the state machine of a run and its turns together. */
export type Phase = 'RUN_CREATED' | 'RUN_COMPLETED' | 'RUN_FAILED' | TurnPhase

/** The phase of a run (Run Lifecycle Contract, State Machine). It is derived, never set. */
export function phaseOf({ status, turns }: { status: RunStatus; turns?: TurnChain | undefined }): Phase {
  if (status === 'completed') return 'RUN_COMPLETED'
  if (status === 'failed' || status === 'denied' || status === 'cancelled') return 'RUN_FAILED'
  return turns?.phase ?? 'RUN_CREATED'
}

/** The kinds of run that can have turns. The ledger itself makes their writes (ADR 0020). */
export function mayHaveTurns(kind: string): boolean {
  return kind === 'orchestrator' || kind === 'agent' || kind === 'db_write'
}
