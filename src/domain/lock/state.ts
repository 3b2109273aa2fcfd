import { type Judgement, type LeaseClock, leaseRemainingMillis, type Now } from '../../kernel/clock.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { LockEventData, RecoveryReason } from './events.ts'
import { kindOf, type LockKind, streamOf, streamOfPaths } from './names.ts'

/** The current state of a grant: the facts of `lock.acquired`, its token, and changes by renewals. */
export interface Grant extends LockEventData<'lock.acquired'> {
  actor_id: string
  /** How the actor was known. */
  authn?: string
  /** When the lease began, if a renewal has restarted it. */
  first?: { acquired: string; lease_clock: LeaseClock }
  /** The judgement of this lease since it last began, by a process whose clocks could not place it. */
  judged?: Judgement
  renewals: number
  token: number
}

/** How the last grant ended: enough to answer a repeated release or a late retry by its holder. */
export interface EndedGrant {
  actor_id: string
  lock_ref: string
  run_id: string | null
  seq: number
  token: number
  type: string
}

/**
 * The row of a lock; for paths, of one grant, with its lock_ref as `name`. `folder` is the place that a deliverable's name is bound to until it is retired. `retired` is the
 * time and place of the retirement, until the lock is granted again.
 */
export interface LockState {
  ended: EndedGrant | null
  folder: string | null
  grant: Grant | null
  kind: LockKind
  name: string
  retired: { folder: string; seq: number } | null
}

/** Returns the next state. It applies the event without checking it. */
export function evolve(state: LockState | undefined, entry: Entry): LockState {
  const before = state ?? { ended: null, folder: null, grant: null, ...lockOf(entry.stream), retired: null }
  switch (entry.type) {
    case 'lock.acquired': {
      const grant = grantOf(entry as GrantEntry)
      const { ended, folder, kind, name } = before
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
      // A file without a grant was recovered. A current grant, if any, stays valid.
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

/** The name and the kind of the lock that a stream is about. */
export function lockOf(stream: string): { kind: LockKind; name: string } {
  const at = stream.indexOf('/')
  const name = stream.slice(at + 1)
  return { kind: stream.startsWith('lock/') ? kindOf(name) : 'path', name }
}

/** The stream of a grant. */
export function streamOfGrant({ kind, lock_ref, name }: Pick<Grant, 'kind' | 'lock_ref' | 'name'>): string {
  return kind === 'path' ? streamOfPaths(lock_ref) : streamOf(name)
}

type GrantEntry = Entry<'lock.acquired', LockEventData<'lock.acquired'>>

/** The fencing token of a grant: higher than that of every earlier grant, also across a restore (ADR 0049). */
export function tokenOf({ data, seq }: Pick<GrantEntry, 'data' | 'seq'>): number {
  return seq + (data.token_offset ?? 0)
}

/** The seq of the entry of a grant. */
export function seqOfGrant({ token, token_offset = 0 }: Pick<Grant, 'token' | 'token_offset'>): number {
  return token - token_offset
}

/** The grant in an entry. */
export function grantOf(entry: GrantEntry): Grant {
  const { actor, data } = entry
  // The copied members come last, because V8 creates a new hidden class for every object built as `{ ...data, more }`.
  const { actor_id, authn } = actor
  if (authn === undefined) return { actor_id, renewals: 0, token: tokenOf(entry), ...data }
  return { actor_id, authn, renewals: 0, token: tokenOf(entry), ...data }
}

/** The members that a renewal changes. */
export interface Renewal extends Pick<Grant, 'acquired' | 'expires_at' | 'lease_clock' | 'renewals'> {
  host_id?: string | undefined
}

/** A grant after a renewal: the lease starts anew, so an earlier judgement no longer applies. */
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

/** Whether a grant belongs to the caller. Holder names can repeat, so both the lock_id and the actor must match. */
export function isOwn(grant: Grant, lockRef: string, actor: Actor): boolean {
  return grant.lock_ref === lockRef && grant.actor_id === actor.actor_id
}

/** Whether and why a grant is an orphan: its lease has expired, or a probe found its holder dead. */
export function orphanReason(
  grant: Grant,
  deathReason: RecoveryReason | undefined,
  now: Now,
): RecoveryReason | undefined {
  const remaining = leaseRemainingMillis(grant, now)
  if (remaining !== null && remaining <= 0) return 'lease_expired'
  return grant.kind === 'project' ? undefined : deathReason
}

/**
 * Whole seconds left on a grant, rounded up: at least 1 while it is valid, 0 once it has expired, null without a lease.
 */
export function leaseRemainingSeconds(grant: Grant, now: Now): number | null {
  const remaining = leaseRemainingMillis(grant, now)
  return remaining === null ? null : Math.max(0, Math.ceil(remaining / 1000))
}

/** Why the holder of the grant is dead, if the probe was about this grant. */
export function deathOf(
  death: { token: number; reason: RecoveryReason } | undefined,
  grant: Grant,
): RecoveryReason | undefined {
  return death?.token === grant.token ? death.reason : undefined
}
