import type { RunEventData } from '../domain/run/events.ts'
import { isTerminal, mayMove } from '../domain/run/moves.ts'
import { statusAfter } from '../domain/run/state.ts'
import { turnIdOf } from '../domain/run/turns.ts'
import type { TurnEventData } from '../domain/turn/events.ts'
import type { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { streamOfRun } from '../kernel/run-fact.ts'
import type { RunStatus } from '../kernel/vocabulary.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'

/** The state of a run while its entries are read. For an ended run: its last entry and its final status. */
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

/** The next entry must be of this run and have one of these types. */
interface Due {
  runId: string
  types: readonly string[]
}

/**
 * Checks that every run has its required events (Run Lifecycle, Contract v1, §6): at its start a decision and then
 * the move; one action event per allow; one end with a reason, followed only by refusals. Checks each entry of a run
 * against the run's identity, pins and history. Errors: VERIFY_FAILED (`runs`).
 */
export class RunVerification implements Check {
  readonly #runs = new Map<string, Followed>()
  #due: Due | undefined

  entry(entry: Entry): void {
    const due = this.#due
    this.#due = undefined
    if (due !== undefined && (entry.run_id !== due.runId || !due.types.includes(entry.type))) {
      throw wrong(entry, `is ${entry.type}, but ${due.types.join(' or ')} of ${due.runId} was expected`)
    }
    const { run_id } = entry
    if (run_id === undefined) {
      if (entry.stream.startsWith('run/')) throw wrong(entry, 'is in the stream of a run but has no run_id')
      if (entry.type === 'run.retried') this.#takeRetry(entry as Entry<'run.retried', RunEventData<'run.retried'>>)
      return
    }
    const run = this.#follow(run_id, entry, due)
    run.last = entry.seq
    if (entry.stream === streamOfRun(run_id)) this.#take(run, entry, due)
    else if (run.status !== 'running') throw wrong(entry, `belongs to ${run_id}, which is ${run.status}`)
  }

  /** Called after the last entry: checks that no entry is missing. */
  end({ size }: Pick<Found, 'size'>): void {
    if (this.#due === undefined) return
    const { runId, types } = this.#due
    throw failed(`${types.join(' or ')} of ${runId} is missing after the last entry`, { run_id: runId, seq: size - 1 })
  }

  /**
   * Finds the run of an entry. Checks that the entry has the same identity as the run's first entry, and names the
   * run's last entry as the one before it.
   */
  #follow(runId: string, entry: Entry, due: Due | undefined): Followed {
    const { case_id, lane_id, parent_run_id, prev, root_run_id, type } = entry
    const identity = JSON.stringify([case_id, lane_id, parent_run_id, root_run_id])
    const run = this.#runs.get(runId)
    if ((prev.run ?? null) !== (run?.last ?? null)) {
      throw wrong(entry, `names ${prev.run ?? null} as the previous entry of ${runId}, not ${run?.last ?? null}`)
    }
    if (run === undefined) {
      if (type !== 'run.created') throw wrong(entry, `is ${type} of ${runId}, which was not created`)
      const { metadata } = entry.data as RunEventData<'run.created'>
      if (metadata?.retry_of && due === undefined)
        throw wrong(entry, `retries ${metadata.retry_of} without a run.retried entry`)
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
    if (identity !== run.identity)
      throw wrong(entry, `names another case, lane or parent than the first entry of ${runId}`)
    if (run.pins !== undefined && run.pins !== pinsIn(entry)) throw wrong(entry, `has other policy pins than ${runId}`)
    return run
  }

  #take(run: Followed, entry: Entry, due: Due | undefined): void {
    switch (entry.type) {
      case 'audit.refusals_counted':
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
        if (!run.open.delete(decision_id)) throw wrong(entry, `records ${decision_id}, which is not an open allow`)
        // Missing action events may still come between a deny and its move.
        this.#due = due
        return
      }
      case 'run.denied':
        if (due === undefined && entry.data.reason !== null)
          throw wrong(entry, 'denies a run without a previous decision')
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
        if (run.status !== 'running') throw wrong(entry, `belongs to a run that is ${run.status}`)
        return
      default:
        end(run, entry)
    }
  }

  /** Only a failed run may be retried, and only once. The next entry must create the new run. */
  #takeRetry(entry: Entry<'run.retried', RunEventData<'run.retried'>>): void {
    const { new_run_id, run_id } = entry.data
    const { status } = this.#runs.get(run_id) ?? {}
    if (status !== 'failed') throw wrong(entry, `retries ${run_id}, which is ${status}`)
    if (entry.prev.stream !== null) throw wrong(entry, `retries ${run_id} a second time`)
    this.#due = { runId: new_run_id, types: ['run.created'] }
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

/** The turns of a run have no gaps and no repeats, and each names the previous one (turn promotion contract, law 2). */
function takePromotion(run: Followed, entry: Entry): void {
  if (run.status !== 'running') throw wrong(entry, `promotes a turn of a run that is ${run.status}`)
  const { previous, turn_id } = entry.data as TurnEventData<'turn.promoted'>
  const due = turnIdOf(run.turn + 1)
  if (turn_id !== due) throw wrong(entry, `promotes ${turn_id}, but ${due} was expected`)
  if (previous !== run.turnSeq) throw wrong(entry, `names ${previous} as the previous promotion, not ${run.turnSeq}`)
  run.turn += 1
  run.turnSeq = entry.seq
}

/** Checks the end of a run: the move is allowed, it has a reason, and every allow has its action event. */
function end(run: Followed, entry: Entry): void {
  const to = statusAfter[entry.type]
  if (to === undefined || !isTerminal(to)) throw wrong(entry, `has a type that is invalid for a run: ${entry.type}`)
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
  return differs('runs', message, facts)
}
