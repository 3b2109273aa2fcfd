import type { LockState } from '../api/shapes/locks.ts'
import { LockstepError } from '../errors.ts'
import { lockRefOf } from '../writer/core.ts'
import type { Asked } from './asked.ts'
import type { Held } from './sessions.ts'

type Edit = Asked<'before_tool'>

/** Renews a lock. False if its grant has ended. */
export async function renewed({ api }: Edit, { lock_id }: Held): Promise<boolean> {
  try {
    await api.locks.renew({ lock_id })
    return true
  } catch (error) {
    if (hasEnded(error)) return false
    throw error
  }
}

/** Whether a renewal failed because the grant has ended. */
function hasEnded(error: unknown): boolean {
  return isRefusal(error, 'LOCK_NOT_HELD', 'STALE_TOKEN', 'LEASE_EXPIRED', 'LEASE_LOST')
}

/**
 * Whether the lock in the way is the agent's own: a lock that a hook took for it, one whose lock_id the hook shows, or one
 * of the same actor in the same process of the harness. The same name in another process is another agent.
 */
export async function isOwn(asked: Edit, { details }: LockstepError): Promise<boolean> {
  const { actor, api, session, shown } = asked
  // Others can share a lock to read, so it does not let anybody edit.
  if (details.shared === true) return false
  const own = session.held.find((held) => {
    return held.actor.actor_id === actor.actor_id && lockRefOf(held.lock_id) === details.lock_ref
  })
  if (own !== undefined) return renewed(asked, own)
  if (shown !== undefined && lockRefOf(shown) === details.lock_ref) return true
  return isOfProcess(asked, await api.locks.status({ name: String(details.name) }))
}

/** Whether a lock is held by this actor in this process of the harness. */
export function isOfProcess(
  { actor, session }: Edit,
  { actor_id, holder_alive, pids, shared, state }: LockState,
): boolean {
  const pid = session.process?.pid
  return (
    state === 'held' &&
    shared !== true &&
    holder_alive === 'yes' &&
    actor_id === actor.actor_id &&
    pid !== undefined &&
    !!pids?.includes(pid)
  )
}

/** Whether the hook shows the lock_id of the grant that holds a path. It is renewed by that. */
export async function isShown({ api, shown }: Edit, { shared, state, token }: LockState): Promise<boolean> {
  if (shown === undefined || state !== 'held' || shared === true) return false
  try {
    return (await api.locks.renew({ lock_id: shown })).token === token
  } catch (error) {
    if (hasEnded(error)) return false
    throw error
  }
}

/** Whether an error is a refusal with one of these codes. */
export function isRefusal(error: unknown, ...codes: readonly string[]): error is LockstepError {
  return error instanceof LockstepError && codes.includes(error.code)
}
