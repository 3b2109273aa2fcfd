import { isAuthority } from '../../kernel/config.ts'
import { type Context, type LoadedRows, type Refusal, refuse } from '../../kernel/decider.ts'
import { judgeGuard } from '../lock/decide.ts'
import { isStateCondition } from '../lock/decide-project.ts'
import type { LockEvent } from '../lock/events.ts'
import { streamOf } from '../lock/names.ts'
import { releasedEvent } from '../lock/record.ts'
import { type Grant, type LockState, orphanReason } from '../lock/state.ts'

export { lockNameSchema } from '../lock/names.ts'

// The parts of locks that decisions on runs use. Aggregates do not import each other, so this module connects them.

/** The lock that a run holds from its start, with the token of the grant. */
export interface LockOfRun {
  name: string
  token: number
}

/**
 * The current grant of a name as the lock of a run: the project lock granted to that run, or a lock that the run's
 * actor holds. Refusals: LOCK_NOT_HELD.
 */
export function lockForRun(
  rows: LoadedRows,
  name: string,
  { actor_id, run_id }: { actor_id: string; run_id: string },
  { now }: Context,
): LockOfRun | Refusal {
  const grant = grantOf(rows, name)
  const isOwn = grant?.kind === 'project' ? grant.run_id === run_id : grant?.actor_id === actor_id
  if (grant !== null && isOwn && orphanReason(grant, undefined, now) === undefined) return { name, token: grant.token }
  return refuse('LOCK_NOT_HELD', `${name} is not held for ${run_id}`, { name, run_id, token: grant?.token ?? null })
}

/** The problem with a run's lock. Refusals: STALE_TOKEN, LEASE_EXPIRED, as for a guard. */
export function judgeLockOfRun(
  rows: LoadedRows,
  lock: LockOfRun,
  command: string,
  { now }: Context,
): Refusal | undefined {
  return judgeGuard(lock, rows.get(streamOf(lock.name))?.state as LockState | undefined, command, now)
}

/**
 * Releases the current lock of a completed run. Only the release authority can release a project lock, by the condition
 * on the run's state. Refusals, in order: RELEASE_DENIED, RELEASE_CONDITION_UNMET.
 */
export function releaseLockOfRun(
  rows: LoadedRows,
  { name }: LockOfRun,
  { actor, config, now }: Context,
): LockEvent | Refusal | undefined {
  const grant = grantOf(rows, name)
  if (grant === null) return undefined
  if (grant.kind !== 'project') return releasedEvent(grant, now, { late: false, outcome: 'success' })
  const authority = config.release_authority
  if (!isAuthority(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not release the lock of ${grant.run_id}: only ${authority} may`
    return refuse('RELEASE_DENIED', message, { name, release_authority: authority })
  }
  const condition_met = grant.release_conditions?.find(isStateCondition)
  if (condition_met === undefined) {
    const message = `no release condition of ${grant.run_id} depends on its state; use a manual override`
    return refuse('RELEASE_CONDITION_UNMET', message, { name, release_conditions: grant.release_conditions })
  }
  return releasedEvent(grant, now, {
    condition_met,
    evidence: 'run_state',
    final_status: 'COMPLETE',
    late: false,
    outcome: 'success',
    released_by: `${authority} (VERIFICATION)`,
    ...(grant.run_id === undefined ? {} : { run_id: grant.run_id }),
  })
}

function grantOf(rows: LoadedRows, name: string): Grant | null {
  return (rows.get(streamOf(name))?.state as LockState | undefined)?.grant ?? null
}
