import { isoTime, type Now } from '../clock.ts'
import { type Context, type Decision, type Refusal, type Rows, refuse } from '../decider.ts'
import type { Acquire, AcquireAll, LockCommand, Release, Renew } from './commands.ts'
import { decideBreak, decideRecover, decideReportFile, decideRetire } from './decide-endings.ts'
import { decideReleaseProject } from './decide-project.ts'
import type { LockEvent } from './events.ts'
import { streamOf } from './names.ts'
import { acquiredEvent, recoveredEvent, recoveredFileEvent, refusedEvent, releasedEvent } from './record.ts'
import { contention, contentionWithWaiters } from './report.ts'
import { deathOf, type Grant, type LockState, orphanReason } from './state.ts'

export type LockDecision = Decision<LockEvent>

/** The streams a lock command is decided over: the locks it names. */
export function reads(command: LockCommand): readonly string[] {
  if (command.type === 'lock.acquire_all') return command.locks.map((lock) => streamOf(lock.name))
  return command.name === null ? [] : [streamOf(command.name)]
}

export function decide(command: LockCommand, context: Context, rows: Rows): LockDecision {
  switch (command.type) {
    case 'lock.acquire':
      return decideAcquire(command, context, rows)
    case 'lock.acquire_all':
      return decideAcquireAll(command, context, rows)
    case 'lock.renew':
      return decideRenew(command, context, stateOf(rows, command.name))
    case 'lock.release':
      return decideRelease(command, context, stateOf(rows, command.name))
    case 'lock.release_project':
      return decideReleaseProject(command, context, stateOf(rows, command.name))
    case 'lock.recover':
      return decideRecover(command, context, stateOf(rows, command.name))
    case 'lock.break':
      return decideBreak(command, context, stateOf(rows, command.name))
    case 'lock.retire':
      return decideRetire(command, context, stateOf(rows, command.name))
    case 'lock.report_file':
      return decideReportFile(command, context, stateOf(rows, command.name))
  }
}

/**
 * Whether a guard holds: its token is the seq of the current grant of that name.
 * Refusals, in order: STALE_TOKEN (never granted, ended or superseded), LEASE_EXPIRED. Both are recorded.
 */
export function judgeGuard(
  guard: { name: string; token: number },
  state: LockState | undefined,
  command: string,
  now: Now,
): Refusal | undefined {
  const grant = state?.grant ?? null
  const facts = { name: guard.name, token: guard.token, current_token: grant?.token ?? null }
  if (grant === null || grant.token !== guard.token) {
    const message = `token ${guard.token} of ${guard.name} is not current; ${grant === null ? 'nobody holds it' : `the current one is ${grant.token}`}`
    return refuse(
      'STALE_TOKEN',
      message,
      facts,
      refusedEvent(guard.name, { code: 'STALE_TOKEN', command, message, ...facts }),
    )
  }
  if (orphanReason(grant, undefined, now) === undefined) return undefined
  const message = `the lease under token ${guard.token} of ${guard.name} has run out`
  return refuse(
    'LEASE_EXPIRED',
    message,
    facts,
    refusedEvent(guard.name, { code: 'LEASE_EXPIRED', command, message, ...facts }),
  )
}

/**
 * Refusals, in order: RUN_LOCK_RELEASED (a project's run that was released), LOCK_PLACEMENT (the name is bound
 * to another folder), LOCK_CONTENTION with the holder, LOCK_CONTENTION with waiters.
 * Over an orphan: `lock.recovered` and `lock.acquired`, in one append.
 */
function decideAcquire(command: Acquire, context: Context, rows: Rows): LockDecision {
  const state = stateOf(rows, command.name)
  const grant = state?.grant ?? null
  if (grant !== null && grant.lock_ref === command.lock_ref && grant.actor_id === context.actor.actor_id) {
    return { kind: 'repeat', seq: grant.token }
  }
  if (command.claim !== undefined && state?.folder && state.folder !== command.claim.folder) {
    return boundElsewhere(command.name, state.folder, command.claim.folder)
  }
  const orphaned = grant === null ? undefined : orphanReason(grant, deathOf(command.death, grant), context.now)
  if (grant !== null && orphaned === undefined)
    return contended(contention(grant, context.now, command.holder_alive ?? 'unknown'), command, context)
  if (context.waiting > 0)
    return contended(contentionWithWaiters(command.name, context.waiting, context.now), command, context)

  const events: LockEvent[] = []
  if (grant !== null && orphaned !== undefined) {
    events.push(
      recoveredEvent(grant, {
        by: context.actor.actor_id,
        mode: 'automatic',
        reason: null,
        recovery_reason: orphaned,
      }),
    )
  }
  if (command.file_orphan !== undefined) {
    events.push(
      recoveredFileEvent(command.name, command.file_orphan, {
        by: context.actor.actor_id,
        mode: 'automatic',
        reason: null,
      }),
    )
  }
  events.push(acquiredEvent(command, context.now))
  return { kind: 'append', events }
}

/** All or nothing: the first name that cannot be had refuses them all. */
function decideAcquireAll(command: AcquireAll, context: Context, rows: Rows): LockDecision {
  const events: LockEvent[] = []
  for (const lock of command.locks) {
    const decision = decideAcquire(lock, context, rows)
    if (decision.kind === 'refuse') return decision
    if (decision.kind === 'append') events.push(...decision.events)
  }
  const [first] = command.locks
  if (events.length === 0 && first !== undefined) return decideAcquire(first, context, rows)
  return { kind: 'append', events }
}

/** Refusals, in order: LOCK_NOT_HELD, LEASE_EXPIRED. A renewal is never a resurrection. */
function decideRenew(command: Renew, context: Context, state: LockState | undefined): LockDecision {
  const grant = state?.grant ?? null
  if (grant === null || !isOwn(grant, command.lock_ref, context))
    return notHeld(command.name, command.lock_ref, 'lock.renew')
  if (grant.lease_duration_s === null || orphanReason(grant, undefined, context.now) !== undefined) {
    const message = `the lease of ${grant.name} under token ${grant.token} has run out and cannot be renewed`
    const facts = { name: grant.name, token: grant.token }
    const record = {
      code: 'LEASE_EXPIRED',
      command: 'lock.renew',
      message,
      lock_ref: command.lock_ref,
      ...facts,
    }
    return refuse('LEASE_EXPIRED', message, facts, refusedEvent(grant.name, record))
  }
  const acquired = command.claim?.acquired ?? isoTime(context.now.wall_ms)
  return {
    kind: 'append',
    events: [
      {
        type: 'lock.renewed',
        stream: streamOf(grant.name),
        data: {
          acquired,
          expires_at: isoTime(Date.parse(acquired) + grant.lease_duration_s * 1000),
          lease_clock: command.claim?.lease_clock ?? context.now.lease_clock,
          lock_ref: grant.lock_ref,
          name: grant.name,
          renewals: grant.renewals + 1,
          token: grant.token,
        },
      },
    ],
  }
}

/**
 * Refusals: LOCK_NOT_HELD. An expired grant that nobody replaced is released late; one's own release again is
 * answered by the first.
 */
function decideRelease(command: Release, context: Context, state: LockState | undefined): LockDecision {
  const grant = state?.grant ?? null
  if (grant === null || !isOwn(grant, command.lock_ref, context)) {
    const ended = state?.ended
    const isOwnRelease =
      ended?.type === 'lock.released' &&
      ended.lock_ref === command.lock_ref &&
      ended.actor_id === context.actor.actor_id
    return isOwnRelease ? { kind: 'repeat', seq: ended.seq } : notHeld(command.name, command.lock_ref, 'lock.release')
  }
  const late = orphanReason(grant, undefined, context.now) !== undefined
  return { kind: 'append', events: [releasedEvent(grant, context.now, { late, outcome: command.outcome })] }
}

function notHeld(name: string | null, lockRef: string, command: string): Refusal {
  const message = `no current grant${name === null ? '' : ` of ${name}`} belongs to this lock_id and actor (lock_ref ${lockRef})`
  const facts = { ...(name === null ? {} : { name }), lock_ref: lockRef }
  return refuse(
    'LOCK_NOT_HELD',
    message,
    facts,
    refusedEvent(name, { code: 'LOCK_NOT_HELD', command, message, ...facts }),
  )
}

function boundElsewhere(name: string, bound: string, asked: string): Refusal {
  return refuse(
    'LOCK_PLACEMENT',
    `${name} is bound to the folder ${bound}, so ${asked} cannot be locked under the same id`,
    {
      name,
      bound_folder: bound,
      folder: asked,
    },
  )
}

/** Contention is counted, not recorded, unless the configuration asks for it. */
function contended(refusal: Refusal, command: Acquire, context: Context): Refusal {
  if (!context.config.record_contention) return refusal
  const facts = {
    code: refusal.code,
    command: command.type,
    message: refusal.message,
    lock_ref: command.lock_ref,
  }
  return { ...refusal, record: refusedEvent(command.name, facts) }
}

function isOwn(grant: Grant, lockRef: string, context: Context): boolean {
  return grant.lock_ref === lockRef && grant.actor_id === context.actor.actor_id
}

function stateOf(rows: Rows, name: string | null): LockState | undefined {
  return name === null ? undefined : (rows.get(streamOf(name))?.state as LockState | undefined)
}
