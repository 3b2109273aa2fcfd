import { isAuthority } from '../../kernel/config.ts'
import { type Context, type Decision, refuse } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import type { RunStatus } from '../../kernel/vocabulary.ts'
import type { ReleaseProject } from './commands.ts'
import type { LockEvent } from './events.ts'
import { refusedEvent, releasedBy, releasedEvent } from './record.ts'
import type { LockState } from './state.ts'

const stateCondition = /^state\s*==\s*COMPLETE$/
const overrideCondition = /^manual override by (.+)$/

/** Whether the state of the run alone can meet a release condition. */
export function isStateCondition(condition: string): boolean {
  return stateCondition.test(condition)
}

/**
 * Whether a release condition can be met: by the state of the run, or by the release authority. An acquire is refused if
 * none of its conditions can.
 */
export function isEvaluable(condition: string, authority: string): boolean {
  return stateCondition.test(condition) || overrideCondition.exec(condition)?.[1] === authority
}

/**
 * Releases a project lock (RUN_LOCK.json Template, Release Protocol): one met condition is enough. A repeated release
 * gets the first answer. If the ledger tracks the run, the condition is checked against the recorded state of the run
 * and not against the caller's statement. Refusals, in order: RELEASE_DENIED (not the release authority),
 * LOCK_NOT_HELD, RELEASE_CONDITION_UNMET; the first two are recorded.
 */
export function decideReleaseProject(
  command: ReleaseProject,
  context: Context,
  state: LockState | undefined,
  runStatus: RunStatus | undefined,
): Decision<LockEvent> {
  const { actor, config } = context
  const authority = config.release_authority
  if (!isAuthority(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not release the lock of ${command.run_id}: only ${authority} may`
    const record = refusedEvent(command.name, { code: 'RELEASE_DENIED', command: command.type, message })
    return refuse('RELEASE_DENIED', message, { run_id: command.run_id, release_authority: authority }, record)
  }
  const grant = state?.grant ?? null
  if (grant === null || grant.run_id !== command.run_id) {
    const ended = state?.ended
    if (ended?.type === 'lock.released' && ended.run_id === command.run_id) return { kind: 'repeat', seq: ended.seq }
    const message = `the run ${command.run_id} holds no project lock`
    const record = refusedEvent(command.name, { code: 'LOCK_NOT_HELD', command: command.type, message })
    return refuse('LOCK_NOT_HELD', message, { run_id: command.run_id }, record)
  }
  const met = metCondition(command, grant.release_conditions ?? [], { authority, runStatus })
  if (typeof met === 'string') {
    return refuse('RELEASE_CONDITION_UNMET', met, {
      run_id: command.run_id,
      release_conditions: grant.release_conditions,
    })
  }
  return {
    kind: 'append',
    events: [
      releasedEvent(grant, context.now, {
        condition_met: met.condition,
        evidence: met.evidence,
        final_status: command.final_status,
        late: false,
        outcome: command.final_status === 'COMPLETE' ? 'success' : 'failure',
        ...given({ reason: command.reason }),
        released_by: releasedBy(config, command.override ? 'manual override' : 'VERIFICATION'),
        run_id: command.run_id,
      }),
    ],
  }
}

type Met = { condition: string; evidence: 'attested' | 'override' | 'run_file' | 'run_state' }

/** The met condition and its evidence, or a sentence that says why no condition is met. */
function metCondition(
  command: ReleaseProject,
  conditions: readonly string[],
  { authority, runStatus }: { authority: string; runStatus: RunStatus | undefined },
): Met | string {
  if (command.override) {
    const condition = conditions.find((text) => overrideCondition.exec(text)?.[1] === authority)
    if (condition === undefined)
      return `no release condition of ${command.run_id} allows a manual override by ${authority}`
    if (command.reason === undefined) return 'a manual override needs a reason'
    if (command.final_status === 'COMPLETE' && runStatus !== 'completed')
      return 'a manual override cannot make a run COMPLETE; name the actual status of the run'
    return { condition, evidence: command.from_file ? 'run_file' : 'override' }
  }
  const condition = conditions.find((text) => stateCondition.test(text))
  if (condition === undefined)
    return `no release condition of ${command.run_id} depends on its state; use a manual override`
  if (command.final_status !== 'COMPLETE') {
    return `"${condition}" is not met by final status ${command.final_status}; a manual override with a reason would release it`
  }
  if (runStatus === undefined) return { condition, evidence: command.from_file ? 'run_file' : 'attested' }
  if (runStatus === 'completed') return { condition, evidence: 'run_state' }
  return `"${condition}" is not met: the run ${command.run_id} is ${runStatus}`
}
