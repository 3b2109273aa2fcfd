import type { Entry } from '../core/entry.ts'
import type { RunEventData } from '../core/run/events.ts'
import { isTerminal, mayMove } from '../core/run/moves.ts'
import { statusAfter, streamOf } from '../core/run/state.ts'
import type { TurnEventData } from '../core/turn/events.ts'
import { turnIdOf } from '../core/turn/turn-id.ts'
import type { RunStatus } from '../core/vocabulary.ts'
import { LockstepError } from '../errors.ts'

/** What is kept of a run while its entries go by; of one that has ended, its last entry and how it ended. */
interface Followed {
  identity: string
  last: number
  /** The number of the last promoted turn, and the seq of its entry. */
  turn: number
  turnSeq: number | null
  open: Set<string>
  pins: string | undefined
  status: RunStatus
}

/** What the very next entry has to be: one of these types, of that run. */
interface Due {
  runId: string
  types: readonly string[]
}

/**
 * Holds every run to the minimum of its events (seed 3, section 6; runs.md): a decision and then the move at its
 * start, one action event for every allow, one end with its reason and nothing after it but refusals; and every entry
 * of a run to its run's names, pins and history. Errors: VERIFY_FAILED (`runs`).
 */
export class RunVerification {
  readonly #runs = new Map<string, Followed>()
  #due: Due | undefined

  next(entry: Entry): void {
    const due = this.#due
    this.#due = undefined
    if (due !== undefined && (entry.run_id !== due.runId || !due.types.includes(entry.type))) {
      throw wrong(entry, `is ${entry.type} where ${due.types.join(' or ')} of ${due.runId} is due`)
    }
    const { run_id } = entry
    if (run_id === undefined) {
      if (entry.stream.startsWith('run/')) throw wrong(entry, 'is of a run and does not say which')
      return
    }
    const run = this.#follow(run_id, entry)
    run.last = entry.seq
    if (entry.stream === streamOf(run_id)) this.#take(run, entry, due)
    else if (run.status !== 'running') throw wrong(entry, `is of ${run_id}, which is ${run.status}`)
  }

  /** After the last entry: nothing is due any more. */
  end(size: number): void {
    if (this.#due === undefined) return
    const { runId, types } = this.#due
    throw failed(`${types.join(' or ')} of ${runId} is due after the last entry`, { run_id: runId, seq: size - 1 })
  }

  /** The run of an entry, which says of it what the run's first entry said, and follows its last. */
  #follow(runId: string, entry: Entry): Followed {
    const { case_id, lane_id, parent_run_id, prev, root_run_id, type } = entry
    const identity = JSON.stringify([case_id, lane_id, parent_run_id, root_run_id])
    const run = this.#runs.get(runId)
    if ((prev.run ?? null) !== (run?.last ?? null)) {
      throw wrong(entry, `names ${prev.run ?? null} as the one before it in ${runId}, not ${run?.last ?? null}`)
    }
    if (run === undefined) {
      if (type !== 'run.created') throw wrong(entry, `is ${type} of ${runId}, which was not created`)
      const created: Followed = {
        identity,
        last: entry.seq,
        open: new Set(),
        pins: undefined,
        status: 'created',
        turn: 0,
        turnSeq: null,
      }
      this.#runs.set(runId, created)
      return created
    }
    if (type === 'run.created') throw wrong(entry, `creates ${runId} a second time`)
    if (identity !== run.identity) throw wrong(entry, `does not say of ${runId} what its first entry says`)
    if (run.pins !== undefined && run.pins !== pinsIn(entry)) throw wrong(entry, `is not pinned as ${runId} is`)
    return run
  }

  #take(run: Followed, entry: Entry, due: Due | undefined): void {
    switch (entry.type) {
      case 'run.created':
      case 'run.refused':
        return
      case 'run.decided':
        this.#takeDecision(run, entry)
        return
      case 'run.started':
        if (run.status !== 'created' || due === undefined) throw wrong(entry, `starts a run that is ${run.status}`)
        run.status = 'running'
        run.pins = pinsIn(entry)
        return
      case 'run.acted': {
        const { decision_id } = entry.data as RunEventData<'run.acted'>
        if (!run.open.delete(decision_id)) throw wrong(entry, `records ${decision_id}, which is no open allow`)
        // Between a deny and its move stand the action events that are still owed.
        this.#due = due
        return
      }
      case 'run.denied':
        if (due === undefined && entry.data.reason !== null)
          throw wrong(entry, 'denies a run without a decision before')
        end(run, entry)
        return
      case 'turn.promotion_rejected':
        return
      case 'turn.promoted':
        takePromotion(run, entry)
        return
      case 'audit.recorded':
      case 'run.renewed':
      case 'turn.rejected':
      case 'turn.staged':
      case 'turn.staging_rejected':
      case 'turn.validated':
        if (run.status !== 'running') throw wrong(entry, `is of a run that is ${run.status}`)
        return
      default:
        end(run, entry)
    }
  }

  #takeDecision(run: Followed, entry: Entry): void {
    const { decision, on } = entry.data as RunEventData<'run.decided'>
    const wanted = on === 'start' ? 'created' : 'running'
    if (run.status !== wanted) throw wrong(entry, `decides on ${on} in a run that is ${run.status}`)
    if (decision === 'allow' && on !== 'start') {
      run.open.add(entry.event_id)
      return
    }
    const types = decision === 'allow' ? ['run.started'] : ['run.denied', 'run.acted']
    this.#due = { runId: entry.run_id ?? '', types }
  }
}

/** The chain of a run's turns has no gap and no repeat, and each names the one before it (seed 4, Law 2). */
function takePromotion(run: Followed, entry: Entry): void {
  if (run.status !== 'running') throw wrong(entry, `promotes a turn of a run that is ${run.status}`)
  const { previous, turn_id } = entry.data as TurnEventData<'turn.promoted'>
  const due = turnIdOf(run.turn + 1)
  if (turn_id !== due) throw wrong(entry, `promotes ${turn_id} where ${due} is due`)
  if (previous !== run.turnSeq) throw wrong(entry, `names ${previous} as the promotion before it, not ${run.turnSeq}`)
  run.turn += 1
  run.turnSeq = entry.seq
}

/** The end of a run: a move that is allowed, for a reason that is said, and no allow left without its event. */
function end(run: Followed, entry: Entry): void {
  const to = statusAfter[entry.type]
  if (to === undefined || !isTerminal(to)) throw wrong(entry, `is of a type that no run has: ${entry.type}`)
  if (!mayMove(run.status, to)) throw wrong(entry, `moves a run that is ${run.status} to ${to}`)
  const { outcome_reason } = entry.data as RunEventData<'run.cancelled'>
  if (outcome_reason.trim() === '') throw wrong(entry, 'ends a run without a reason')
  const [open] = run.open
  if (open !== undefined) throw wrong(entry, `ends a run whose allow ${open} has no action event`)
  run.status = to
}

function pinsIn({ policy_versions }: Entry): string {
  return `${policy_versions.lanes} ${policy_versions.roles}`
}

function wrong(entry: Entry, what: string): LockstepError {
  return failed(`entry ${entry.seq} ${what}`, { run_id: entry.run_id ?? null, seq: entry.seq })
}

function failed(message: string, facts: { run_id: string | null; seq: number }): LockstepError {
  return new LockstepError('VERIFY_FAILED', message, { details: { check: 'runs', ...facts } })
}
