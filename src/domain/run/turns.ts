import * as z from 'zod'
import type { Entry, EventDraft } from '../../kernel/entry.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'

// The turns of a run are in its row, because a run can end only if its turns allow it, and turns need a running run.
// What a turn contains, and what is decided about it, is in the folder `turn`.

const pattern = /^turn-(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3,14})$/

/**
 * Turn ids start at `turn-0001`: at least four digits, without further leading zeros, ordered by number. `turn-0000`
 * stands for the state before the first turn and is not a valid input.
 */
export const turnIdSchema = z.string().regex(pattern, 'must be turn- and a number from 0001 on')

/** The number of a turn; undefined if the text is not a turn_id. */
export function turnNumberOf(turnId: string): number | undefined {
  return pattern.test(turnId) ? Number(turnId.slice('turn-'.length)) : undefined
}

/** The turn_id of a number. 0 gives `turn-0000`, the state before the first turn. */
export function turnIdOf(number: number): string {
  return `turn-${String(number).padStart(4, '0')}`
}

/** How much a staged proposal contains. */
export interface TurnCounts {
  delete_stem: number
  tombstones: number
  triplets: number
}

type Staged = { counts: TurnCounts; manifest_digest: string }

/** The state of a run's turns (Run Lifecycle Contract, State Machine), without the start and end of the run itself. */
export type TurnPhase = 'TURN_STAGED' | 'TURN_VALIDATED' | 'TURN_PROMOTED' | 'TURN_REJECTED' | 'PROMOTION_REJECTED'

/**
 * The turn after the last promoted one, once it has an event. `seq` is its last event. A refused promotion does not
 * change it.
 */
export interface OpenTurn {
  number: number
  seq: number
  staged: { counts: TurnCounts; manifest_digest: string; seq: number } | null
  status: 'refused' | 'staged' | 'validated' | 'failed' | 'rejected'
}

/** The turns of a run in its row: the last promoted turn, and the open turn. */
export interface TurnChain {
  last: number
  /** The seq of the last `turn.promoted`. */
  last_seq: number | null
  open: OpenTurn | null
  phase: TurnPhase | null
}

/** The initial state: `turn-0000` promoted, and no open turn. */
export const noTurns: TurnChain = { last: 0, last_seq: null, open: null, phase: null }

/** Returns the next state. It applies the event without checking it. */
export function evolveTurns(chain: TurnChain | undefined = noTurns, entry: Entry): TurnChain {
  switch (entry.type) {
    case 'turn.staged': {
      const { data, seq } = entry as unknown as Entry<'turn.staged', Staged>
      const staged = { counts: data.counts, manifest_digest: data.manifest_digest, seq }
      return { ...chain, open: { number: chain.last + 1, seq, staged, status: 'staged' }, phase: 'TURN_STAGED' }
    }
    case 'turn.staging_rejected':
      return refusedStage(chain, entry)
    case 'turn.validated':
      return { ...withStatus(chain, entry.seq, 'validated'), phase: 'TURN_VALIDATED' }
    case 'turn.rejected': {
      const { data, seq } = entry
      return { ...withStatus(chain, seq, data.by === 'validation' ? 'failed' : 'rejected'), phase: 'TURN_REJECTED' }
    }
    case 'turn.promoted':
      return { last: chain.last + 1, last_seq: entry.seq, open: null, phase: 'TURN_PROMOTED' }
    case 'turn.promotion_rejected':
      return { ...chain, phase: 'PROMOTION_REJECTED' }
    default:
      return chain
  }
}

/**
 * A refused stage counts only if it is for the next turn. Refused stages of other turns are not events of this turn.
 */
function refusedStage(chain: TurnChain, { data, seq }: Entry): TurnChain {
  const number = chain.last + 1
  if (turnNumberOf(String(data.turn_id)) !== number) return chain
  return {
    ...chain,
    open: { number, seq, staged: chain.open?.staged ?? null, status: 'refused' },
    phase: 'TURN_REJECTED',
  }
}

function withStatus(chain: TurnChain, seq: number, status: OpenTurn['status']): TurnChain {
  return chain.open === null ? chain : { ...chain, open: { ...chain.open, seq, status } }
}

/** The turn that keeps its run from completing: staged or validated, but neither promoted nor rejected. */
function openTurnOf(turns: TurnChain | undefined): OpenTurn | undefined {
  const open = turns?.open ?? undefined
  return open?.status === 'staged' || open?.status === 'validated' ? open : undefined
}

/** `last_promoted_turn_id` of a run (Run Lifecycle Contract, Law 2). */
export function lastPromotedTurnId(turns: TurnChain | undefined): string {
  return turnIdOf(turns?.last ?? 0)
}

/** The name of the turn that keeps a run from completing. */
export function openTurnId(turns: TurnChain | undefined): string | undefined {
  const open = openTurnOf(turns)
  return open && turnIdOf(open.number)
}

/** The rejection of the open turn, if the run is completed with `discard_turn`. */
export function discardedTurn(
  turns: TurnChain | undefined,
  { run_id, stream }: { run_id: string; stream: string },
): EventDraft[] {
  const open = openTurnOf(turns)
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

/** An empty list of issues. */
export const noIssues = { count: 0, digest: null, listed: [] }
