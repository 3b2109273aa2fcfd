import { invariant } from '../../errors.ts'
import { sorted } from '../../kernel/canonical.ts'
import { isoTime } from '../../kernel/clock.ts'
import { mayClaim } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedRows, type Refusal, refuse } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import type { GiveApproval } from './commands.ts'
import type { ApprovalEvent } from './events.ts'
import { approvalIn, approvalStream, roleOf, streamOfApproval } from './state.ts'

export function reads({ approval_id }: GiveApproval): readonly string[] {
  return [streamOfApproval(approval_id), approvalStream]
}

/**
 * Refusals, in order: APPROVAL_DENIED (the actor is no human, or does not have the role of the approval type),
 * recorded; CLOCK_AHEAD (by the time of entries the approval would have expired already).
 */
export function decide(command: GiveApproval, context: Context, rows: LoadedRows): Decision<ApprovalEvent> {
  const denied = denial(command, context)
  if (denied !== undefined) return denied
  const { approval_id, approval_type, bundle, expires_in_s, notes } = command
  const stream = streamOfApproval(approval_id)
  invariant(approvalIn(rows.get(stream)) === undefined, 'a new approval has a new id')
  const expires_at = expires_in_s === undefined ? null : isoTime(context.now.wall_ms + expires_in_s * 1000)
  if (expires_at !== null && expires_at <= context.time) {
    const message = `the time of entries is ${context.time}, ahead of the wall clock, so the approval would have expired already`
    return refuse('CLOCK_AHEAD', message, { time: context.time })
  }
  const data = sorted({ approval_id, approval_type, bundle, expires_at, ...given({ notes }) })
  return { kind: 'append', events: [{ type: 'approval.given', stream, data }] }
}

function denial({ approval_type, type }: GiveApproval, { actor, config }: Context): Refusal | undefined {
  const role = roleOf(approval_type)
  const refusal = (rule_id: string, message: string): Refusal => {
    const data = { approval_type, code: 'APPROVAL_DENIED', command: type, message, rule_id }
    const record = { type: 'approval.refused', stream: approvalStream, data }
    return refuse('APPROVAL_DENIED', message, { approval_type, role_id: role, rule_id }, record)
  }
  if (actor.actor_type !== 'human') return refusal('approval/human', `${actor.actor_id} is not a human`)
  if (actor.role_id !== role || !mayClaim(config, actor.actor_id, role)) {
    return refusal(`role:${role}/actors`, `${actor.actor_id} does not have the role ${role}`)
  }
  return undefined
}
