import { LockstepError } from '../../errors.ts'
import type { Aggregate, Rows } from '../decider.ts'
import type { EventDraft } from '../entry.ts'
import type { RunEventData } from './events.ts'

/** Which run is the retry of an attempt. */
interface RetryState {
  new_run_id: string
}

/**
 * The stream that says of a failed attempt that it was retried: one of its own, for nothing is added to a run that has
 * ended.
 */
function retryStreamOf(runId: string): string {
  return `retry/${runId}`
}

/** The run in which an attempt was retried. */
export function retriedIn(rows: Rows, runId: string): string | undefined {
  return (rows.get(retryStreamOf(runId))?.state as RetryState | undefined)?.new_run_id
}

/** It stands in front of the first event of the new run, in the same append. */
export function retriedEvent(data: RunEventData<'run.retried'>): EventDraft {
  return { type: 'run.retried', stream: retryStreamOf(data.run_id), data }
}

/** Has no commands of its own: `run.retry` is the run's. */
export const retryAggregate: Aggregate = {
  reads: () => [],
  decide: () => {
    throw new LockstepError('INVARIANT_VIOLATED', 'no command is for retries alone')
  },
  evolve: (_state, { data }) => ({ new_run_id: data.new_run_id }),
}
