import { writeScopeOf } from '../../kernel/config.ts'
import { type Context, type Decision, type Refusal, refuse } from '../../kernel/decider.ts'
import type { Acquire, AcquireAll } from './commands.ts'
import type { LockEvent } from './events.ts'
import { kindOf, streamOf } from './names.ts'
import { acquiredEvent, recoveredEvent, recoveredFileEvent } from './record.ts'
import { boundElsewhere, contended, contention, contentionWithWaiters } from './report.ts'
import { deathOf, isOwn, type LockState, orphanReason, seqOfGrant } from './state.ts'

/**
 * Refusals, in order: IDEMPOTENCY_MISMATCH (this lock_id was used with different content), RUN_LOCK_RELEASED (the lock
 * of this project run has ended), LOCK_ENDED (the grant of this lock_id has ended), WRITE_SCOPE_DENIED (a deliverable,
 * by the configuration in force), LOCK_PLACEMENT (the name is bound to another folder), LOCK_CONTENTION with the holder, LOCK_CONTENTION with waiters. If the current grant is an orphan,
 * `lock.recovered` and `lock.acquired` are appended together.
 */
export function decideAcquire(command: Acquire, context: Context, state: LockState | undefined): Decision<LockEvent> {
  const earlier = state && earlierAnswer(command, context, state)
  if (earlier !== undefined) return earlier
  const denied = kindOf(command.name) === 'deliverable' ? deniedScope(context) : undefined
  if (denied !== undefined) return denied
  const grant = state?.grant ?? null
  if (command.claim !== undefined && state?.folder && state.folder !== command.claim.folder) {
    return boundElsewhere(command.name, { bound: state.folder, asked: command.claim.folder, holder: grant })
  }
  const orphaned = grant === null ? undefined : orphanReason(grant, deathOf(command.death, grant), context.now)
  if (grant !== null && orphaned === undefined)
    return contended(contention(grant, context.now, command.holder_alive ?? 'unknown'), command, context)
  const waiting = context.waiting(streamOf(command.name))
  if (waiting > 0) return contended(contentionWithWaiters(command.name, waiting, context.now), command, context)

  const facts = { by: context.actor.actor_id, mode: 'automatic' as const, reason: null }
  const events: LockEvent[] = []
  if (grant !== null && orphaned !== undefined) {
    events.push(recoveredEvent(grant, { ...facts, recovery_reason: orphaned }))
  }
  if (command.file_orphan !== undefined) events.push(recoveredFileEvent(command.name, command.file_orphan, facts))
  events.push(acquiredEvent(command, context))
  return { kind: 'append', events }
}

/** WRITE_SCOPE_DENIED, if the configuration has write scopes and the actor may not lock a deliverable. */
export function deniedScope({ actor, config }: Pick<Context, 'actor' | 'config'>): Refusal | undefined {
  if (config.write_scopes === undefined) return undefined
  const { actor_id, role_id } = actor
  const scope = writeScopeOf(config, actor_id, role_id)
  if (scope === 'deliverable-local') return undefined
  const message = `${actor_id} has the write scope ${scope ?? 'none'}; a deliverable’s lock needs deliverable-local`
  return refuse('WRITE_SCOPE_DENIED', message, { actor_id, write_scope: scope ?? null })
}

/** The earlier result of this same acquisition, if the row still has it. */
function earlierAnswer(
  command: Acquire,
  context: Context,
  { ended, grant }: LockState,
): Decision<LockEvent> | undefined {
  const { lock_ref, name, project } = command
  if (grant !== null && isOwn(grant, lock_ref, context.actor)) {
    const isSame =
      grant.holder === command.holder &&
      grant.lease_duration_s === command.lease_duration_s &&
      grant.target_name === project?.target_name
    const seq = seqOfGrant(grant)
    if (isSame) return { kind: 'repeat', seq }
    return mismatch(`this lock_id was used for ${name} at seq ${seq}, with different content`, { name, seq })
  }
  // A lost claim was answered with LOCK_CONTENTION, so no caller ever received its grant.
  if (ended?.lock_ref !== lock_ref || ended.type === 'lock.lost') return undefined
  if (project !== undefined) {
    return refuse('RUN_LOCK_RELEASED', `the lock of ${project.run_id} has ended; a new run needs a new run_id`, {
      run_id: project.run_id,
    })
  }
  if (ended.actor_id !== context.actor.actor_id) return undefined
  return refuse(
    'LOCK_ENDED',
    `${name} was granted under this lock_id with token ${ended.token}, and that grant has ended`,
    {
      name,
      token: ended.token,
    },
  )
}

/** All or nothing: if one name cannot be acquired, the whole command is refused. */
export function decideAcquireAll(
  command: AcquireAll,
  context: Context,
  stateOf: (name: string) => LockState | undefined,
): Decision<LockEvent> {
  const events: LockEvent[] = []
  const granted: Extract<Decision<LockEvent>, { kind: 'repeat' }>[] = []
  let notGranted: string | undefined
  for (const lock of command.locks) {
    const decision = decideAcquire(lock, context, stateOf(lock.name))
    if (decision.kind === 'refuse') return decision
    if (decision.kind === 'repeat') granted.push(decision)
    else {
      events.push(...decision.events)
      notGranted ??= lock.name
    }
  }
  const [first] = granted
  if (first === undefined) return { kind: 'append', events }
  if (notGranted === undefined) return first
  return mismatch(
    `${granted.length} of these lock_ids were granted before, but ${notGranted} was not granted with them`,
    {
      name: notGranted,
      seq: first.seq,
    },
  )
}

function mismatch(message: string, details: { name: string; seq: number }): Refusal {
  return refuse('IDEMPOTENCY_MISMATCH', message, details)
}
