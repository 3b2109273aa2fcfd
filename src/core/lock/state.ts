import { leaseRemainingMillis, type Now } from '../clock.ts'
import type { Entry } from '../entry.ts'
import type { LockEventData, RecoveryReason } from './events.ts'
import { kindOf, type LockKind } from './names.ts'

/** A grant as it stands: the facts of `lock.acquired`, its token, and what renewals changed since. */
export interface Grant extends LockEventData<'lock.acquired'> {
  actor_id: string
  first_acquired: string
  renewals: number
  token: number
}

/** How the last grant ended, enough to answer its holder's repeated release. */
export interface EndedGrant {
  actor_id: string
  lock_ref: string
  seq: number
  token: number
  type: string
}

/** The row of a lock. `folder` is the place a deliverable's name is bound to, until it is retired. */
export interface LockState {
  ended: EndedGrant | null
  folder: string | null
  grant: Grant | null
  kind: LockKind
  name: string
}

/** The next state; applies and never judges. */
export function evolve(state: LockState | undefined, entry: Entry): LockState {
  const name = entry.stream.slice('lock/'.length)
  const before = state ?? { ended: null, folder: null, grant: null, kind: kindOf(name), name }
  switch (entry.type) {
    case 'lock.acquired': {
      const data = entry.data as LockEventData<'lock.acquired'>
      const grant = {
        ...data,
        actor_id: entry.actor.actor_id,
        first_acquired: data.acquired,
        renewals: 0,
        token: entry.seq,
      }
      return { ...before, folder: data.folder ?? before.folder, grant }
    }
    case 'lock.renewed': {
      if (before.grant === null) return before
      const { acquired, expires_at, lease_clock, renewals } = entry.data as LockEventData<'lock.renewed'>
      return { ...before, grant: { ...before.grant, acquired, expires_at, lease_clock, renewals } }
    }
    case 'lock.retired':
      return { ...before, folder: null }
    case 'lock.released':
    case 'lock.recovered':
    case 'lock.broken':
    case 'lock.lost':
      return before.grant === null ? before : { ...before, ended: endedBy(before.grant, entry), grant: null }
    default:
      return before
  }
}

function endedBy(grant: Grant, entry: Entry): EndedGrant {
  return {
    actor_id: grant.actor_id,
    lock_ref: grant.lock_ref,
    seq: entry.seq,
    token: grant.token,
    type: entry.type,
  }
}

/** Whether and why a grant is an orphan: its lease is over, or its holder was probed dead. */
export function orphanReason(
  grant: Grant,
  deathReason: RecoveryReason | undefined,
  now: Now,
): RecoveryReason | undefined {
  const remaining = leaseRemainingMillis(grant, now)
  if (remaining !== null && remaining <= 0) return 'lease_expired'
  return grant.kind === 'project' ? undefined : deathReason
}

/** Whole seconds left on a grant, rounded up: at least 1 while it is valid, 0 when over, null without a lease. */
export function leaseRemainingSeconds(grant: Grant, now: Now): number | null {
  const remaining = leaseRemainingMillis(grant, now)
  return remaining === null ? null : Math.max(0, Math.ceil(remaining / 1000))
}

/** Why the grant's holder is dead, if the probe was of this very grant. */
export function deathOf(
  death: { token: number; reason: RecoveryReason } | undefined,
  grant: Grant,
): RecoveryReason | undefined {
  return death?.token === grant.token ? death.reason : undefined
}
