import { elapsedMillis, isoTime, judgementOf, type Now } from '../../kernel/clock.ts'
import type { Context } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import type { Acquire, FileOrphan } from './commands.ts'
import type { LockEvent, LockEventData, RecoveryReason } from './events.ts'
import { streamOf, streamOfNamed, streamOfPaths } from './names.ts'
import { type Grant, streamOfGrant } from './state.ts'

/**
 * A grant as an event. For a deliverable the lease begins at the time that is already in its file. `previous` are the last
 * grants of its paths.
 */
export function acquiredEvent(
  command: Acquire,
  { now, token_offset }: Pick<Context, 'now' | 'token_offset'>,
  previous?: (string | null)[],
): LockEvent {
  const { claim, paths, project } = command
  const stated = claim?.acquired ?? project?.lock_time
  const acquiredMillis = stated === undefined ? now.wall_ms : Date.parse(stated)
  const acquired = stated ?? isoTime(now.wall_ms)
  const data: LockEventData<'lock.acquired'> = {
    acquired,
    ...given({ deliverable_id: claim?.deliverable_id }),
    evidence: [...command.evidence],
    expires_at: command.lease_duration_s === null ? null : isoTime(acquiredMillis + command.lease_duration_s * 1000),
    ...given({ folder: claim?.folder }),
    holder: command.holder,
    host_id: now.host_id,
    kind: project ? 'project' : claim ? 'deliverable' : paths ? 'path' : 'resource',
    lease_clock: claim?.lease_clock ?? now.lease_clock,
    lease_duration_s: command.lease_duration_s,
    ...given({ lock_reason: project?.lock_reason ?? command.reason }),
    lock_ref: command.lock_ref,
    name: command.name,
    ...given({
      paths: paths && [...paths.paths],
      previous,
      release_conditions: project?.release_conditions,
      run_id: project?.run_id,
      shared: paths?.shared ? (true as const) : undefined,
      source: project?.source,
      target_name: project?.target_name,
      token_offset: token_offset === 0 ? undefined : token_offset,
      worktree: paths?.worktree,
    }),
  }
  return { type: 'lock.acquired', stream: paths ? streamOfPaths(command.lock_ref) : streamOf(command.name), data }
}

/** What `released_by` of RUN_LOCK.json says once the release authority has acted. The entry's actor says who that was. */
export function releasedBy({ release_authority }: Context['config'], how: 'VERIFICATION' | 'manual override'): string {
  return `${release_authority} (${how})`
}

/** How and why a grant was released. Only project locks have the members about the project. */
export interface ReleaseFacts
  extends Pick<LockEventData<'lock.released'>, 'outcome'>,
    Partial<
      Pick<
        LockEventData<'lock.released'>,
        'condition_met' | 'evidence' | 'final_status' | 'reason' | 'released_by' | 'run_id'
      >
    > {
  late: boolean
}

/** `held_ms` by the lease clock, including renewals; by the wall clock if the lease clocks cannot be compared. */
export function releasedEvent(grant: Grant, now: Now, how: ReleaseFacts): LockEvent {
  const { acquired, lease_clock } = grant.first ?? grant
  const { late, outcome, condition_met, evidence, final_status, reason, released_by, run_id } = how
  const data: LockEventData<'lock.released'> = {
    ...given({ condition_met, evidence, final_status }),
    held_ms: elapsedMillis({ time: acquired, lease_clock, host_id: grant.host_id }, now),
    holder: grant.holder,
    ...(late ? { late: true as const } : {}),
    lock_ref: grant.lock_ref,
    name: grant.name,
    outcome,
    ...given({ paths: severalPathsOf(grant), reason, released_by, run_id }),
    token: grant.token,
  }
  return { type: 'lock.released', stream: streamOfGrant(grant), data }
}

/** The event that records a judgement of a lease that the clocks here cannot place. */
export function judgedEvent(grant: Grant, now: Now): LockEvent {
  const { lease_duration_s, name, token } = grant
  const data: LockEventData<'lock.judged'> = { ...judgementOf(lease_duration_s ?? 0, now), name, token }
  return { type: 'lock.judged', stream: streamOfGrant(grant), data }
}

type RecoveryFacts = { by: string; mode: 'automatic' | 'manual'; reason: string | null }

/** The end of an orphaned grant. */
export function recoveredEvent(grant: Grant, facts: RecoveryFacts & { recovery_reason: RecoveryReason }): LockEvent {
  return {
    type: 'lock.recovered',
    stream: streamOfGrant(grant),
    data: {
      by: facts.by,
      ...given({ lock_ref: refOfPaths(grant) }),
      mode: facts.mode,
      name: grant.name,
      ...given({ paths: severalPathsOf(grant) }),
      previous_acquired: grant.acquired,
      previous_holder: grant.holder,
      previous_token: grant.token,
      reason: facts.reason,
      recovery_reason: facts.recovery_reason,
    },
  }
}

/** The end of a valid grant. `released_by` is that of a project's file. */
export function brokenEvent(grant: Grant, facts: { by: string; reason: string; released_by?: string }): LockEvent {
  const { by, reason, released_by } = facts
  return {
    type: 'lock.broken',
    stream: streamOfGrant(grant),
    data: {
      by,
      ...given({ lock_ref: refOfPaths(grant) }),
      name: grant.name,
      ...given({ paths: severalPathsOf(grant) }),
      previous_acquired: grant.acquired,
      previous_holder: grant.holder,
      previous_token: grant.token,
      reason,
      ...given({ released_by }),
    },
  }
}

/** The paths of a grant that its name does not tell. */
function severalPathsOf({ paths }: Grant): string[] | undefined {
  return paths === undefined || paths.length === 1 ? undefined : paths
}

function refOfPaths({ kind, lock_ref }: Grant): string | undefined {
  return kind === 'path' ? lock_ref : undefined
}

/** The same event for a lock file that no grant explains. */
export function recoveredFileEvent(name: string, orphan: FileOrphan, facts: RecoveryFacts): LockEvent {
  return {
    type: 'lock.recovered',
    stream: streamOf(name),
    data: {
      ...given({ aside: orphan.kept?.aside }),
      by: facts.by,
      ...given({ digest: orphan.kept?.digest }),
      mode: facts.mode,
      name,
      previous_acquired: orphan.previous_acquired,
      previous_holder: orphan.previous_holder,
      previous_token: null,
      reason: facts.reason,
      recovery_reason: orphan.recovery_reason,
    },
  }
}

type RefusedFacts = LockEventData<'lock.refused'>

/** The event that records a refusal, with its members in canonical order. */
export function refusedEvent(name: string | null, facts: RefusedFacts): LockEvent {
  const { code, command, current_token, lock_ref, message, token } = facts
  return {
    type: 'lock.refused',
    stream: streamOfNamed(name),
    data: {
      code,
      command,
      ...given({ current_token, lock_ref }),
      message,
      ...(name === null ? {} : { name }),
      ...given({ token }),
    },
  }
}
