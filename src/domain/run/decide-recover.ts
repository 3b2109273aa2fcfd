import { type Context, type Decision, type LoadedState, refuse } from '../../kernel/decider.ts'
import { policyInForce } from '../policy/state.ts'
import {
  append,
  caseAt,
  durationMillis,
  expired,
  notActive,
  type RunCase,
  type RunDraft,
  refused,
  unrecordedEvents,
} from './case.ts'
import type { RecoverRun } from './commands.ts'
import { refuseText } from './free-text.ts'

/**
 * Fails a running run whose recorded processes are all dead, so that it can be retried. Anyone may do this, as for
 * locks. A lease decides alone: a run with an expired lease is failed for that reason, and a run with a current lease is
 * no orphan. Refusals, in order: NOT_FOUND, RUN_NOT_ACTIVE, RUN_NOT_ORPHAN, FREE_TEXT_DENIED; all but the first are
 * recorded.
 */
export function decideRecover(command: RecoverRun, context: Context, rows: LoadedState): Decision {
  const { policies, run_id } = command
  const of = caseAt(run_id, { context, inForce: policyInForce(rows, policies), policies, rows })
  if (of === undefined) return refuse('NOT_FOUND', `there is no run ${run_id}`, { run_id })
  const ended = expired(of) ?? notActive(of, command.type)
  if (ended !== undefined) return ended
  const orphaned = orphanedEvent(command, of)
  if (typeof orphaned === 'string') {
    const message = `${run_id} is no orphan: ${orphaned}`
    const facts = { alive: command.liveness.alive }
    return refused(of, { code: 'RUN_NOT_ORPHAN', command: command.type, facts, message })
  }
  return refuseText(of, [command.reason], command.type) ?? append(of, [...unrecordedEvents(of.run), orphaned])
}

/** The end of an orphan, or why the run is none. */
function orphanedEvent({ liveness, reason }: RecoverRun, of: RunCase): RunDraft | string {
  const { lease, processes, run_id } = of.run
  if (lease !== null) return 'it has a lease, and fails when the lease is over'
  if (processes === undefined) return 'it was started without a process, so nobody can know whether it is dead'
  if (liveness.alive !== 'no') return liveness.alive === 'yes' ? 'its process is alive' : 'its process may be alive'
  const message = `the processes of ${run_id} are dead`
  return {
    type: 'run.failed',
    data: {
      duration_ms: durationMillis(of) ?? 0,
      error: { error_code: 'RUN_ORPHANED', message, retryable: true },
      outcome_reason: 'RUN_ORPHANED',
      recovery: { processes: [...processes], reason, recovery_reason: liveness.reason },
      run_id,
    },
  }
}
