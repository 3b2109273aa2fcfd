import type { EventDraft } from './entry.ts'
import { noIssues } from './turn/events.ts'
import { evolveTurns, noTurns, openTurnOf, type TurnChain, type TurnPhase } from './turn/state.ts'
import { turnIdOf } from './turn/turn-id.ts'
import type { RunStatus } from './vocabulary.ts'

export type { TurnChain } from './turn/state.ts'

// What decisions on runs take of turns: aggregates do not know each other, so it stands between them. The turns of a
// run stand in its row, for whether a run may end depends on them, and they on whether it is running.

/** The turns of a run after one more entry of it; undefined as long as it has none. */
export function turnsAfter<Entry extends Parameters<typeof evolveTurns>[1]>(
  turns: TurnChain | undefined,
  entry: Entry,
): TurnChain {
  return evolveTurns(turns ?? noTurns, entry)
}

/** `last_promoted_turn_id` of a run (seed 4, Law 2). */
export function lastPromotedTurnId(turns: TurnChain | undefined): string {
  return turnIdOf(turns?.last ?? 0)
}

/** The name of the turn that keeps a run from completing. */
export function openTurnId(turns: TurnChain | undefined): string | undefined {
  const open = turns && openTurnOf(turns)
  return open && turnIdOf(open.number)
}

/** The rejection of the turn under way that a completion brings with it, when told to discard it. */
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

/** A phase of the seed's state machine, which is that of a run and its turns together. */
export type Phase = 'RUN_CREATED' | 'RUN_COMPLETED' | 'RUN_FAILED' | TurnPhase

/** Where a run is in the seed's state machine (seed 4, State Machine): derived, never set. */
export function phaseOf({ status, turns }: { status: RunStatus; turns?: TurnChain | undefined }): Phase {
  if (status === 'completed') return 'RUN_COMPLETED'
  if (status === 'failed' || status === 'denied' || status === 'cancelled') return 'RUN_FAILED'
  return turns?.phase ?? 'RUN_CREATED'
}

/** The kinds of run that turns happen in: the ledger itself mediates this write (ADR 0018). */
export function mayHaveTurns(kind: string): boolean {
  return kind === 'orchestrator' || kind === 'agent' || kind === 'db_write'
}
