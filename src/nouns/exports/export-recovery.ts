import { nanoid } from 'nanoid'
import type { RunsApi } from '../../api/runs.ts'
import { evidenceOf, probeHolder } from '../../disk/process.ts'
import { isExpired } from '../../domain/run/case.ts'
import { isTerminal } from '../../domain/run/moves.ts'
import type { RunState } from '../../domain/run/state.ts'
import { LockstepError } from '../../errors.ts'
import { ExportFiles } from '../../files/bundle/export-files.ts'
import type { Core } from '../../writer/core.ts'
import { completeIn } from '../runs/performing.ts'
import { findRun } from '../runs/run-status.ts'

/** Writes the note of an export that this process is about to begin. Errors: DISK_FULL, FILE_DENIED, FILE_FAILED. */
export function noteExport(core: Core, { file, run_id }: { file: string; run_id: string }): Promise<ExportFiles> {
  return ExportFiles.note(core.layout.exports, { evidence: evidenceOf(process.pid), file, nonce: nanoid(), run_id })
}

/**
 * Ends the exports of dead processes. Called at open. Their runs are ended, and their files are removed unless the
 * export was recorded. If it is unknown whether a process is alive, it counts as alive until its run has ended or the
 * run's lease is over.
 */
export async function endLeftExports(core: Core, runs: RunsApi): Promise<void> {
  for (const files of ExportFiles.noted(core.layout.exports)) {
    try {
      const run = await findRun(core, files.run_id)
      if (isOver(files, run, core)) await end(files, run, runs)
    } catch (error) {
      // If a folder cannot be reached, its note stays and the ledger still opens.
      if (!(error instanceof LockstepError) || !/^(?:DISK_FULL|FILE_)/.test(error.code)) throw error
    }
  }
}

function isOver({ evidence, notedMillis }: ExportFiles, run: RunState | undefined, core: Core): boolean {
  if (probeHolder([evidence], notedMillis).alive === 'no') return true
  return run !== undefined && (isTerminal(run.status) || isExpired(run, core.now()))
}

async function end(files: ExportFiles, run: RunState | undefined, runs: RunsApi): Promise<void> {
  const isRecorded = run !== undefined && run.outputs.length > 0
  if (!isRecorded) files.withdraw()
  if (run !== undefined && !isTerminal(run.status)) await endRun(run, isRecorded, runs).catch(ignoreFailed)
  files.end()
}

/** Ends the run and records what is still missing. Reasons are codes, because some lanes deny free text. */
async function endRun({ manifest, run_id, status }: RunState, isRecorded: boolean, runs: RunsApi): Promise<void> {
  const { actor_id, actor_type } = manifest.actor
  const of = { actor: { actor_id, actor_type }, run_id }
  if (status === 'created') await runs.cancel({ ...of, outcome_reason: abandoned })
  else if (isRecorded) await completeIn({ runs }, { ...of, outcome_reason: 'performed' })
  else await runs.fail({ ...of, error, outcome_reason: abandoned })
}

const failedAlready: ReadonlySet<string> = new Set(['RUN_ANCESTOR_ENDED', 'RUN_LEASE_EXPIRED'])
const abandoned = 'EXPORT_ABANDONED'
const error = { error_code: abandoned, message: abandoned, retryable: true }

/** The run has been failed already, because its lease was over or a run above it has ended. */
function ignoreFailed(error: unknown): void {
  if (!(error instanceof LockstepError) || !failedAlready.has(error.code)) throw error
}
