import { wellFormed } from '../../kernel/canonical.ts'
import { needsJudgement } from '../../kernel/clock.ts'
import { isAuthority, isOperator } from '../../kernel/config.ts'
import { type Context, type Decision, type Refusal, refuse } from '../../kernel/decider.ts'
import type { Break, Recover, ReportFile, Retire } from './commands.ts'
import type { LockEvent } from './events.ts'
import { kindOf, streamOf } from './names.ts'
import { brokenEvent, judgedEvent, recoveredEvent, recoveredFileEvent, refusedEvent, releasedBy } from './record.ts'
import { boundElsewhere, contention } from './report.ts'
import { deathOf, type LockState, orphanReason, seqOfGrant } from './state.ts'

/**
 * Refusals: LOCK_NOT_ORPHAN, if the lock is free or its grant is valid. For a valid grant it has the contention report.
 */
export function decideRecover(command: Recover, context: Context, state: LockState | undefined): Decision<LockEvent> {
  const grant = state?.grant ?? null
  const facts = { by: context.actor.actor_id, mode: 'manual' as const, reason: command.reason }
  if (grant === null) {
    if (command.file_orphan === undefined) {
      return refuse('LOCK_NOT_ORPHAN', `${command.name} is free; there is nothing to recover`, {
        name: command.name,
      })
    }
    return { kind: 'append', events: [recoveredFileEvent(command.name, command.file_orphan, facts)] }
  }
  const reason = orphanReason(grant, deathOf(command.death, grant), context.now)
  if (reason === undefined) {
    const report = contention(grant, context.now, command.holder_alive ?? 'unknown')
    return { ...report, code: 'LOCK_NOT_ORPHAN', message: `${report.message}; only orphans can be recovered` }
  }
  const events = [recoveredEvent(grant, { ...facts, recovery_reason: reason })]
  if (command.file_orphan !== undefined) events.push(recoveredFileEvent(command.name, command.file_orphan, facts))
  return { kind: 'append', events }
}

/**
 * Refusals, in order: RELEASE_DENIED (neither release authority nor operator; for a project lock, not the release
 * authority: RUN_LOCK.json Template, Lock States), LOCK_NOT_HELD (the lock is free); both are recorded. For a file of
 * another tool, the record that it was moved aside.
 */
export function decideBreak(command: Break, context: Context, state: LockState | undefined): Decision<LockEvent> {
  const { actor, config } = context
  const isProject = kindOf(command.name) === 'project'
  const denied = deniedBreak(command, context)
  if (denied !== undefined) return denied
  if (command.file !== undefined) {
    const { aside, content, digest, path } = command.file
    const { name, reason } = command
    const data = { aside, by: actor.actor_id, content: wellFormed(content), digest, name, path, reason }
    return { kind: 'append', events: [{ type: 'lock.file_set_aside', stream: streamOf(name), data }] }
  }
  const grant = state?.grant ?? null
  if (grant === null) {
    const message = `${command.name} is free`
    const record = refusedEvent(command.name, { code: 'LOCK_NOT_HELD', command: command.type, message })
    return refuse('LOCK_NOT_HELD', message, { name: command.name }, record)
  }
  const released_by = isProject ? { released_by: releasedBy(config, 'manual override') } : {}
  return {
    kind: 'append',
    events: [brokenEvent(grant, { by: actor.actor_id, reason: command.reason, ...released_by })],
  }
}

/** RELEASE_DENIED, recorded, if the actor may not break the lock; only the release authority breaks a project's. */
export function deniedBreak({ name, type }: Break, { actor, config }: Context): Refusal | undefined {
  const isProject = kindOf(name) === 'project'
  if ((isProject ? isAuthority : isOperator)(config, actor.actor_id)) return undefined
  const who = isProject ? config.release_authority : `${config.release_authority} or an operator`
  const message = `${actor.actor_id} may not break ${name}: only ${who} may`
  const record = refusedEvent(name, { code: 'RELEASE_DENIED', command: type, message })
  return refuse('RELEASE_DENIED', message, { name }, record)
}

/**
 * Refusals, in order: LOCK_PLACEMENT (the name is bound to another folder), LOCK_IS_HELD. An orphan is recovered first.
 * A repeated retirement gets the first answer.
 */
export function decideRetire(command: Retire, context: Context, state: LockState | undefined): Decision<LockEvent> {
  const grant = state?.grant ?? null
  if (state?.folder && state.folder !== command.folder) {
    return boundElsewhere(command.name, { bound: state.folder, asked: command.folder, holder: grant })
  }
  if (state?.retired?.folder === command.folder) return { kind: 'repeat', seq: state.retired.seq }
  const by = context.actor.actor_id
  const events: LockEvent[] = []
  if (grant !== null) {
    const reason = orphanReason(grant, deathOf(command.death, grant), context.now)
    if (reason === undefined) {
      const report = contention(grant, context.now, command.holder_alive ?? 'unknown')
      return { ...report, code: 'LOCK_IS_HELD', message: `${report.message}; release it before its folder is retired` }
    }
    events.push(recoveredEvent(grant, { by, mode: 'automatic', reason: null, recovery_reason: reason }))
  }
  events.push({
    type: 'lock.retired',
    stream: streamOf(command.name),
    data: { by, folder: command.folder, name: command.name, reason: command.reason },
  })
  return { kind: 'append', events }
}

/**
 * Records findings from steps on files, if the grant that they are about is still current. Text from files was cut to a
 * fixed length, perhaps within a character, so it is made well-formed here.
 */
export function decideReportFile(
  command: ReportFile,
  context: Context,
  state: LockState | undefined,
): Decision<LockEvent> {
  const { name, report } = command
  const stream = streamOf(name)
  const grant = state?.grant ?? null
  switch (report.fact) {
    case 'lost': {
      if (grant === null || grant.lock_ref !== report.lock_ref) return staleReport(name)
      const { holder, lock_ref, token } = grant
      return {
        kind: 'append',
        events: [
          { type: 'lock.lost', stream, data: { found: wellFormed(report.found), holder, lock_ref, name, token } },
        ],
      }
    }
    case 'restored': {
      if (grant === null || grant.token !== report.token) return staleReport(name)
      const data = { folder: report.folder, lock_ref: report.lock_ref, name, token: report.token }
      return { kind: 'append', events: [{ type: 'lock.file_restored', stream, data }] }
    }
    case 'judged': {
      if (grant === null || grant.token !== report.token) return staleReport(name)
      if (!needsJudgement(grant, context.now)) return { kind: 'repeat', seq: seqOfGrant(grant) }
      return { kind: 'append', events: [judgedEvent(grant, context.now)] }
    }
    case 'conflict': {
      const aside_content = wellFormed(report.aside_content)
      const found_content = wellFormed(report.found_content)
      const data = { aside: report.aside, aside_content, found_content, name }
      return { kind: 'append', events: [{ type: 'lock.conflict', stream, data }] }
    }
    case 'set_aside': {
      const { aside, content, path, reason } = report
      const data = { aside, by: context.actor.actor_id, content: wellFormed(content), name, path, reason }
      return { kind: 'append', events: [{ type: 'lock.file_set_aside', stream, data }] }
    }
  }
}

function staleReport(name: string) {
  return refuse('LOCK_NOT_HELD', `the grant of ${name} that this is about has ended`, { name })
}
