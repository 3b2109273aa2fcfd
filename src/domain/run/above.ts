import type { Decision } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import {
  ancestorsOf,
  append,
  durationMillis,
  eventsOfRun,
  expiredEvents,
  isExpired,
  type RunCase,
  type RunDraft,
  refused,
  rowOf,
  unrecordedEvents,
} from './case.ts'
import type { CancelBelow } from './commands.ts'
import { isTerminal } from './moves.ts'
import type { RunState } from './state.ts'

/**
 * The decision on a command that would add work below an ended run: RUN_ANCESTOR_ENDED, recorded, with the nearest run
 * above that has ended. If the lease of a run above has expired, the ledger fails that run instead. A retry takes the
 * place of its first attempt, so the failure of that attempt does not stop it. Cost: one row per run above; none for a
 * run without a parent.
 */
export function stoppedAbove(of: RunCase, command: string): Decision | undefined {
  let below = of.run
  for (const ancestor of ancestorsOf(of.run, of.rows)) {
    if (isExpired(ancestor, of.context.now)) {
      const expired = { ...of, lastSeq: rowOf(of.rows, ancestor.run_id)?.last_seq ?? 0, run: ancestor }
      return append(expired, expiredEvents(expired))
    }
    if (isTerminal(ancestor.status) && !below.manifest.metadata?.retry_of) return refusedBelow(ancestor, of, command)
    below = ancestor
  }
  return undefined
}

/** The same for a command that would add a run below the run of the case: it must not have ended either. */
export function stoppedBelow(of: RunCase, command: string): Decision | undefined {
  if (isExpired(of.run, of.context.now)) return append(of, expiredEvents(of))
  return isTerminal(of.run.status) ? refusedBelow(of.run, of, command) : stoppedAbove(of, command)
}

function refusedBelow({ run_id, status }: RunState, of: RunCase, command: string): Decision {
  const message = `no work can be added below ${run_id}, which is ${status}`
  const facts = { ancestor_run_id: run_id, ancestor_status: status }
  return refused(of, { code: 'RUN_ANCESTOR_ENDED', command, facts, message })
}

/**
 * Cancels the runs of a list that lie below an ended run and have not ended, until the append has enough events. A run
 * with an expired lease is failed, as by any other command. Runs that have ended are left as they are.
 */
export function decideCancelBelow({ run_ids }: CancelBelow, of: RunCase): Decision {
  const { context, rows, run: top } = of
  const events: EventDraft[] = []
  if (!isTerminal(top.status)) return { kind: 'append', events }
  for (const run_id of run_ids) {
    const row = rowOf(rows, run_id)
    if (row === undefined || isTerminal(row.state.status)) continue
    if (![...ancestorsOf(row.state, rows)].some((above) => above.run_id === top.run_id)) continue
    const one = { context, lastSeq: row.last_seq, run: row.state }
    events.push(...eventsOfRun(one, isExpired(row.state, context.now) ? expiredEvents(one) : cancelledWith(top, one)))
    if (events.length >= limits.runTreeEventsMin) break
  }
  return { kind: 'append', events }
}

/** The reason is of the ledger's own words, because the lane of a run may prohibit free text. */
function cancelledWith(top: RunState, { context, run }: Pick<RunCase, 'context' | 'run'>): RunDraft[] {
  const outcome_reason = `cancelled: with ${top.run_id}`
  const data = { duration_ms: durationMillis({ context, run }), outcome_reason, run_id: run.run_id }
  return [...unrecordedEvents(run), { type: 'run.cancelled', data }]
}
