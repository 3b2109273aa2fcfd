import type { LoadedRows } from '../../kernel/decider.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'
import { type RunState, streamOf } from './state.ts'

/** The state of a run that the ledger tracks. The release condition of a project lock is checked against it. */
export function statusOfRun(rows: LoadedRows, runId: string): RunStatus | undefined {
  return (rows.get(streamOf(runId))?.state as RunState | undefined)?.status
}
