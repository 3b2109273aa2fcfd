import { isoTime, type Now } from '../../kernel/clock.ts'
import { type Context, type Decision, type LoadedState, type Refusal, refuse } from '../../kernel/decider.ts'
import { statusOfRun, streamOfRun } from '../../kernel/run-fact.ts'
import type { LockCommand, Release, Renew } from './commands.ts'
import { decideAcquire, decideAcquireAll } from './decide-acquire.ts'
import { decideBreak, decideRecover, decideReportFile, decideRetire } from './decide-endings.ts'
import { decideReleaseProject } from './decide-project.ts'
import type { LockEvent } from './events.ts'
import { kindOf, pathOf, streamOf, streamOfNamed, streamOfPaths } from './names.ts'
import {
  type AcquirePaths,
  decideAcquirePaths,
  decideBreakPath,
  decideRecoverPath,
  grantsUnder,
  type Rows,
  stateAt,
  withRows,
} from './paths/decide.ts'
import { rowsOf } from './paths/tree.ts'
import { refusedEvent, releasedEvent } from './record.ts'
import { isOwn, type LockState, orphanReason, streamOfGrant } from './state.ts'

export type LockDecision = Decision<LockEvent>

/** The locks that a command names, and the run whose status ends a project lock. */
export function reads(command: LockCommand): readonly string[] {
  if (isOnPaths(command) && 'lock_ref' in command) return [streamOfPaths(command.lock_ref)]
  if (command.type === 'lock.acquire_all') return command.locks.map((lock) => streamOf(lock.name))
  const own = streamOfNamed(command.name)
  return command.type === 'lock.release_project' ? [own, streamOfRun(command.run_id)] : [own]
}

/** The rows of the places that a command names, and of all places above them. */
export function readsOfState(command: LockCommand): readonly string[] {
  if (!isOnPaths(command)) return []
  const paths = 'paths' in command && command.paths !== undefined ? command.paths.paths : [pathOf(command.name)]
  return paths.flatMap(rowsOf)
}

export function decide(command: LockCommand, context: Context, rows: LoadedState): LockDecision {
  return isOnPaths(command)
    ? withRows(decideOnPaths(command, context, rows), rows)
    : decideOnLock(command, context, rows)
}

type OnPaths = Exclude<LockCommand, { type: 'lock.acquire_all' }> & { name: string }

function isOnPaths(command: LockCommand): command is OnPaths {
  return 'name' in command && command.name !== null && kindOf(command.name) === 'path'
}

/** A grant of paths is renewed and released as any other, but it has a stream of its own. */
function decideOnPaths(command: OnPaths, context: Context, rows: LoadedState): LockDecision {
  switch (command.type) {
    case 'lock.acquire':
      return decideAcquirePaths(command as AcquirePaths, context, rows)
    case 'lock.recover':
      return decideRecoverPath(command, context, rows)
    case 'lock.break':
      return decideBreakPath(command, context, rows)
    case 'lock.renew':
      return decideRenew(command, context, grantsUnder(rows, command.lock_ref))
    case 'lock.release':
      return decideRelease(command, context, grantsUnder(rows, command.lock_ref))
    default:
      return refuse('INVALID_INPUT', `${command.type} is not for paths`)
  }
}

/** The state of the lock that a guard, or the lock of a run, names. For a path, that of the grant with the token. */
export function stateOfLock(rows: Rows, { name, token }: { name: string; token?: number }): LockState | undefined {
  return kindOf(name) === 'path' ? stateAt(rows, name, token) : stateOf(rows, name)
}

function decideOnLock(command: LockCommand, context: Context, rows: LoadedState): LockDecision {
  switch (command.type) {
    case 'lock.acquire':
      return decideAcquire(command, context, stateOf(rows, command.name))
    case 'lock.acquire_all':
      return decideAcquireAll(command, context, (name) => stateOf(rows, name))
    case 'lock.renew':
      return decideRenew(command, context, stateOf(rows, command.name))
    case 'lock.release':
      return decideRelease(command, context, stateOf(rows, command.name))
    case 'lock.release_project':
      return decideReleaseProject(command, context, stateOf(rows, command.name), statusOfRun(rows, command.run_id))
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
 * Checks a guard: its token must be that of the current grant of the name. Refusals, in order: STALE_TOKEN (never
 * granted, ended or superseded), LEASE_EXPIRED. Both are recorded.
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
    const message = `token ${guard.token} of ${guard.name} is not current; ${grant === null ? 'the lock is free' : `the current token is ${grant.token}`}`
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
 * Refusals, in order: LOCK_NOT_HELD, STALE_TOKEN, LEASE_EXPIRED; all are recorded. An expired grant cannot be renewed.
 */
function decideRenew(command: Renew, context: Context, state: LockState | undefined): LockDecision {
  if (command.name === null) return notHeld(null, command.lock_ref, 'lock.renew')
  const grant = state?.grant ?? null
  if (grant === null || !isOwn(grant, command.lock_ref, context.actor)) {
    const message = `the grant of ${command.name} under this lock_id has ended and cannot be renewed`
    const facts = { name: command.name, lock_ref: command.lock_ref, current_token: grant?.token ?? null }
    const record = { code: 'STALE_TOKEN', command: 'lock.renew', message, ...facts }
    return refuse('STALE_TOKEN', message, facts, refusedEvent(command.name, record))
  }
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
        stream: streamOfGrant(grant),
        data: {
          acquired,
          expires_at: isoTime(Date.parse(acquired) + grant.lease_duration_s * 1000),
          ...(context.now.host_id === grant.host_id ? {} : { host_id: context.now.host_id }),
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
 * Refusals: LOCK_NOT_HELD. An expired grant can still be released, late, until it is replaced. If the holder repeats
 * the release, the first answer is given again.
 */
function decideRelease(command: Release, context: Context, state: LockState | undefined): LockDecision {
  const grant = state?.grant ?? null
  if (grant === null || !isOwn(grant, command.lock_ref, context.actor)) {
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

function stateOf(rows: Rows, name: string | null): LockState | undefined {
  return name === null ? undefined : (rows.get(streamOf(name))?.state as LockState | undefined)
}
