import type { LoadedRows } from '../../kernel/decider.ts'
import type { Entry, EventDraft } from '../../kernel/entry.ts'
import type { RunEventData } from './events.ts'

/** The run that retries an attempt. */
interface RetryState {
  new_run_id: string
}

/**
 * The stream that records the retry of a failed attempt. It is a separate stream, because nothing is appended to a run
 * that has ended.
 */
export function retryStreamOf(runId: string): string {
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

/** The state of the stream: the run that retried the attempt. */
export function evolveRetry(_state: RetryState | undefined, { data }: Entry): RetryState {
  return { new_run_id: String(data.new_run_id) }
}
