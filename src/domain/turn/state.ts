import type { Entry } from '../../kernel/entry.ts'
import type { TurnEventData } from './events.ts'
import { turnNumberOf } from './turn-id.ts'

/** The state of a run's turns (Run Lifecycle Contract, State Machine), without the start and end of the run itself. */
export type TurnPhase = 'TURN_STAGED' | 'TURN_VALIDATED' | 'TURN_PROMOTED' | 'TURN_REJECTED' | 'PROMOTION_REJECTED'

/**
 * The turn after the last promoted one, once it has an event. `seq` is its last event. A refused promotion does not
 * change it.
 */
export interface OpenTurn {
  number: number
  seq: number
  staged: { counts: TurnEventData<'turn.staged'>['counts']; manifest_digest: string; seq: number } | null
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

type TurnEntry<Type extends 'turn.staged' | 'turn.rejected' | 'turn.promoted'> = Entry<Type, TurnEventData<Type>>

/** Returns the next state. It applies the event without checking it. */
export function evolveTurns(chain: TurnChain, entry: Entry): TurnChain {
  switch (entry.type) {
    case 'turn.staged': {
      const { data, seq } = entry as TurnEntry<'turn.staged'>
      const staged = { counts: data.counts, manifest_digest: data.manifest_digest, seq }
      return { ...chain, open: { number: chain.last + 1, seq, staged, status: 'staged' }, phase: 'TURN_STAGED' }
    }
    case 'turn.staging_rejected':
      return refusedStage(chain, entry)
    case 'turn.validated':
      return { ...withStatus(chain, entry.seq, 'validated'), phase: 'TURN_VALIDATED' }
    case 'turn.rejected': {
      const { data, seq } = entry as TurnEntry<'turn.rejected'>
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
export function openTurnOf({ open }: TurnChain): OpenTurn | undefined {
  return open?.status === 'staged' || open?.status === 'validated' ? open : undefined
}
