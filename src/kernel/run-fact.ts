import type { LoadedRows } from './decider.ts'
import type { RunStatus } from './vocabulary.ts'

/** The part of a run's row that decisions on locks read: a project lock ends by the status of its run. */
export interface RunFact {
  status: RunStatus
}

/** The stream with all events of one run, and of no other run. */
export function streamOfRun(runId: string): string {
  return `run/${runId}`
}

/** The state of a run that the ledger tracks. The release condition of a project lock is checked against it. */
export function statusOfRun(rows: LoadedRows, runId: string): RunStatus | undefined {
  return (rows.get(streamOfRun(runId))?.state as RunFact | undefined)?.status
}
