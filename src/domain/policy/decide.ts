import { isOperator } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedRows, refuse } from '../../kernel/decider.ts'
import type { PolicyCommand } from './commands.ts'
import type { LoadedFile, PolicyEvent } from './events.ts'
import { type LoadedPin, policyStream, stateIn } from './state.ts'

export function reads(_command: PolicyCommand): readonly string[] {
  return [policyStream]
}

/**
 * Refusals: POLICY_DENIED (a policy is in force and the actor is neither release authority nor operator), recorded. If
 * the same policy is already in force, the answer is the entry that loaded it. Files that cannot be used append nothing.
 */
export function decide(command: PolicyCommand, context: Context, rows: LoadedRows): Decision<PolicyEvent> {
  const { actor, config } = context
  const before = stateIn(rows.get(policyStream))
  const isRead = command.lanes !== null
  if (before !== undefined && isRead && isSame(before.lanes, command.lanes) && isSame(before.roles, command.roles)) {
    return { kind: 'repeat', seq: before.seq }
  }
  if (before !== undefined && !isOperator(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not change the policy: only ${config.release_authority} or an operator may`
    const data = { code: 'POLICY_DENIED', command: command.type, message }
    return refuse('POLICY_DENIED', message, {}, { type: 'policy.refused', stream: policyStream, data })
  }
  if (!isRead) return { kind: 'append', events: [] }
  const previous = before === undefined ? null : { lanes: before.lanes.pin, roles: before.roles.pin }
  const data = { lanes: command.lanes, previous, roles: command.roles }
  return { kind: 'append', events: [{ type: 'policy.loaded', stream: policyStream, data }] }
}

function isSame(before: LoadedPin, file: LoadedFile): boolean {
  return before.pin === file.pin && before.sha256 === file.sha256 && before.source === file.source
}
