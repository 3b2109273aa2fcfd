import type { Rows } from './decider.ts'
import { type RunState, streamOf } from './run/state.ts'
import type { RunStatus } from './vocabulary.ts'

/** The state of a run that the ledger tracks. The release condition of a project lock is checked against it. */
export function statusOfRun(rows: Rows, runId: string): RunStatus | undefined {
  return (rows.get(streamOf(runId))?.state as RunState | undefined)?.status
}
