import type { Decision } from '../../kernel/decider.ts'
import { ancestorsOf, append, expiredEvents, isExpired, type RunCase, refused, rowOf } from './case.ts'
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
