import { nanoid } from 'nanoid'
import { evidenceOf, probeHolder } from '../../disk/process.ts'
import { isExpired } from '../../domain/run/case.ts'
import { isTerminal } from '../../domain/run/moves.ts'
import type { RunState } from '../../domain/run/state.ts'
import { LockstepError } from '../../errors.ts'
import { ExportFiles } from '../../files/bundle/export-files.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { Core } from '../../writer/core.ts'
import type { Runs } from '../runs/runs.ts'

/** Writes the note of an export that this process is about to begin. Errors: DISK_FULL, FILE_DENIED, FILE_FAILED. */
export function noteExport(core: Core, { file, run_id }: { file: string; run_id: string }): Promise<ExportFiles> {
  return ExportFiles.note(core.layout.exports, { evidence: evidenceOf(process.pid), file, nonce: nanoid(), run_id })
}

/**
 * Ends the exports of dead processes. Called at open. Their runs are ended, and their files are removed unless the
 * export was recorded. If it is unknown whether a process is alive, it counts as alive until its run has ended or the
 * run's lease is over.
 */
export async function endLeftExports(core: Core, runs: Runs): Promise<void> {
  for (const files of ExportFiles.noted(core.layout.exports)) {
    try {
      const run = (await core.views.row(streamOfRun(files.run_id)))?.state as RunState | undefined
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

async function end(files: ExportFiles, run: RunState | undefined, runs: Runs): Promise<void> {
  const isRecorded = run !== undefined && run.outputs.length > 0
  if (!isRecorded) files.withdraw()
  if (run !== undefined && !isTerminal(run.status)) await endRun(run, isRecorded, runs).catch(ignoreExpiry)
  files.end()
}

/** Ends the run and records what is still missing. Reasons are codes, because some lanes deny free text. */
async function endRun({ manifest, run_id, status }: RunState, isRecorded: boolean, runs: Runs): Promise<void> {
  const { actor_id, actor_type } = manifest.actor
  const of = { actor: { actor_id, actor_type }, run_id }
  if (status === 'created') await runs.cancel({ ...of, outcome_reason: abandoned })
  else if (isRecorded) await runs.complete({ ...of, outcome_reason: 'performed' })
  else await runs.fail({ ...of, error, outcome_reason: abandoned })
}

const abandoned = 'EXPORT_ABANDONED'
const error = { error_code: abandoned, message: abandoned, retryable: true }

/** The run's lease was over, so the run has been failed already. */
function ignoreExpiry(error: unknown): void {
  if (!(error instanceof LockstepError) || error.code !== 'RUN_LEASE_EXPIRED') throw error
}
