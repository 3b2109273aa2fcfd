import type { Acquire, ReleaseProject } from '../../domain/lock/commands.ts'
import { isEvaluable } from '../../domain/lock/decide-project.ts'
import { streamOf } from '../../domain/lock/names.ts'
import type { LockState } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import { type Core, lockRefOf, submit } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'

/** The command that acquires a project lock, for a caller or for an imported file. */
export function projectCommand(
  name: string,
  input: { run_id: string; target_name: string; reason: string; release_conditions: string[] },
): Acquire {
  const { reason, release_conditions, run_id, target_name } = input
  return {
    type: 'lock.acquire',
    name,
    holder: run_id,
    lock_ref: lockRefOf(run_id),
    lease_duration_s: null,
    evidence: [],
    project: { lock_reason: reason, release_conditions, run_id, target_name },
  }
}

/** Errors: INVALID_INPUT if no release condition can be met, because such a lock could never be released. */
export function demandEvaluable({ config }: Core, release_conditions: readonly string[]): void {
  const { release_authority } = config
  if (release_conditions.some((condition) => isEvaluable(condition, release_authority))) return
  throw new LockstepError('INVALID_INPUT', 'none of the release conditions can be evaluated', {
    details: { release_conditions },
    hint: `Use "state == COMPLETE" or "manual override by ${release_authority}".`,
  })
}

/**
 * Releases the lock of a run. A repeated release gets the first answer, which is terminal. Errors: those of the
 * decision, and IDEMPOTENCY_MISMATCH if the repetition names another final status.
 */
export async function submitRelease(core: Core, asked: Omit<ReleaseProject, 'type'>, actor: Actor): Promise<Outcome> {
  const { final_status, from_file = false, name, override, reason, run_id } = asked
  const command = { type: 'lock.release_project' as const, final_status, from_file, name, override, reason, run_id }
  const outcome = await submit(core, command, { actor })
  const first = outcome.entries.find(({ type }) => type === 'lock.released')
  if (first === undefined || first.data.final_status === final_status) return outcome
  const message = `the lock of ${run_id} was released as ${first.data.final_status}, which cannot become ${final_status}`
  throw new LockstepError('IDEMPOTENCY_MISMATCH', message, {
    details: { run_id, final_status: first.data.final_status, seq: first.seq },
  })
}

/** Whether a run was ever granted this project lock. Cost: one read per entry of its history. */
export async function knowsRun(core: Core, name: string, runId: string): Promise<boolean> {
  let left = limits.historyPageMax
  for await (const { data, type } of walked(core.views, await chainOfStream(core.views, streamOf(name)))) {
    if (type === 'lock.acquired' && data.run_id === runId) return true
    left -= 1
    if (left === 0) return false
  }
  return false
}

/** The project that a run locked; null if there is none. It searches the rows of all projects, which are few. */
export async function nameOfRun(core: Core, runId: string): Promise<string | null> {
  for await (const [, row] of core.views.rows(streamOf('project:'))) {
    const { ended, grant, name } = row.state as LockState
    if (grant?.run_id === runId || ended?.run_id === runId) return name
  }
  return null
}

export function alreadyReleased(runId: string): LockstepError {
  return new LockstepError('RUN_LOCK_RELEASED', `the lock of ${runId} was released; a new run needs a new run_id`, {
    details: { run_id: runId },
  })
}
