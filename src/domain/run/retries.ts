import { LockstepError } from '../../errors.ts'
import type { Aggregate, LoadedRows } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import type { RunEventData } from './events.ts'

/** The run that retries an attempt. */
interface RetryState {
  new_run_id: string
}

/**
 * The stream that records the retry of a failed attempt. It is a separate stream, because nothing is appended to a run
 * that has ended.
 */
function retryStreamOf(runId: string): string {
  return `retry/${runId}`
}

/** The run that retried an attempt. */
export function retriedIn(rows: LoadedRows, runId: string): string | undefined {
  return (rows.get(retryStreamOf(runId))?.state as RetryState | undefined)?.new_run_id
}

/** This event comes before the first event of the new run, in the same append. */
export function retriedEvent(data: RunEventData<'run.retried'>): EventDraft {
  return { type: 'run.retried', stream: retryStreamOf(data.run_id), data }
}

/** This aggregate has no commands. `run.retry` belongs to runs. */
export const retryAggregate: Aggregate = {
  reads: () => [],
  decide: () => {
    throw new LockstepError('INVARIANT_VIOLATED', 'no command is for retries alone')
  },
  evolve: (_state, { data }) => ({ new_run_id: data.new_run_id }),
}
