import { type Judgement, type LeaseClock, leaseRemainingMillis, type Now } from '../clock.ts'
import type { Entry } from '../entry.ts'
import type { Actor } from '../ids.ts'
import type { LockEventData, RecoveryReason } from './events.ts'
import { kindOf, type LockKind } from './names.ts'

/** A grant as it stands: the facts of `lock.acquired`, its token, and what renewals changed since. */
export interface Grant extends LockEventData<'lock.acquired'> {
  actor_id: string
  /** When the lease began, where renewals have set it anew since. */
  first?: { acquired: string; lease_clock: LeaseClock }
  /** By whom the lease was judged whose clocks could not place it, since it last began. */
  judged?: Judgement
  renewals: number
  token: number
}

/** How the last grant ended, enough to answer its holder's repeated release or late retry. */
export interface EndedGrant {
  actor_id: string
  lock_ref: string
  run_id: string | null
  seq: number
  token: number
  type: string
}

/**
 * The row of a lock. `folder` is the place a deliverable's name is bound to, until it is retired; `retired` says
 * when and where it was, until it is granted again.
 */
export interface LockState {
  ended: EndedGrant | null
  folder: string | null
  grant: Grant | null
  kind: LockKind
  name: string
  retired: { folder: string; seq: number } | null
}

/** The next state; applies and never judges. */
export function evolve(state: LockState | undefined, entry: Entry): LockState {
  const name = entry.stream.slice('lock/'.length)
  const before = state ?? { ended: null, folder: null, grant: null, kind: kindOf(name), name, retired: null }
  switch (entry.type) {
    case 'lock.acquired': {
      const grant = grantOf(entry as Entry<'lock.acquired', LockEventData<'lock.acquired'>>)
      const { ended, folder, kind } = before
      return { ended, folder: grant.folder ?? folder, grant, kind, name, retired: null }
    }
    case 'lock.renewed': {
      if (before.grant === null) return before
      return { ...before, grant: renewed(before.grant, entry.data as LockEventData<'lock.renewed'>) }
    }
    case 'lock.judged': {
      const { token, ...judged } = entry.data as LockEventData<'lock.judged'>
      return before.grant?.token === token ? { ...before, grant: judgedBy(before.grant, judged) } : before
    }
    case 'lock.retired': {
      const { folder } = entry.data as LockEventData<'lock.retired'>
      return { ...before, folder: null, retired: { folder, seq: entry.seq } }
    }
    case 'lock.recovered':
      // A file that no grant explains was recovered; a grant, if there is one, goes on.
      if ((entry.data as LockEventData<'lock.recovered'>).previous_token === null) return before
      return withoutGrant(before, entry)
    case 'lock.released':
    case 'lock.broken':
    case 'lock.lost':
      return withoutGrant(before, entry)
    default:
      return before
  }
}

/** A grant as its entry says it. */
export function grantOf({ actor, data, seq }: Entry<'lock.acquired', LockEventData<'lock.acquired'>>): Grant {
  // The copied members come last: V8 gives `{ ...data, more }` a hidden class of its own for every object.
  return { actor_id: actor.actor_id, renewals: 0, token: seq, ...data }
}

/** What a renewal changes. */
export interface Renewal extends Pick<Grant, 'acquired' | 'expires_at' | 'lease_clock' | 'renewals'> {
  host_id?: string | undefined
}

/** A grant after a renewal: the lease begins anew, so what was judged of it counts no more. */
export function renewed(grant: Grant, by: Renewal): Grant {
  const { acquired, expires_at, host_id = grant.host_id, lease_clock, renewals } = by
  const { judged: _, ...others } = grant
  const { first = { acquired: grant.acquired, lease_clock: grant.lease_clock } } = grant
  return { ...others, acquired, expires_at, first, host_id, lease_clock, renewals }
}

/** A grant after a judgement. */
export function judgedBy(grant: Grant, { expires_at, host_id, lease_clock }: Judgement): Grant {
  return { ...grant, judged: { expires_at, host_id, lease_clock } }
}

function withoutGrant(before: LockState, { seq, type }: Entry): LockState {
  if (before.grant === null) return before
  const { actor_id, lock_ref, run_id = null, token } = before.grant
  const { folder, kind, name, retired } = before
  return { ended: { actor_id, lock_ref, run_id, seq, token, type }, folder, grant: null, kind, name, retired }
}

/** Whether a grant is the caller's: holder names repeat, so it takes the lock_id and the same actor. */
export function isOwn(grant: Grant, lockRef: string, actor: Actor): boolean {
  return grant.lock_ref === lockRef && grant.actor_id === actor.actor_id
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
