import { isOperator } from '../../kernel/config.ts'
import { type Context, type LoadedRows, type Refusal, refuse } from '../../kernel/decider.ts'
import { isSamePerson } from '../approval/judge.ts'
import type { ErasureCommand, Found } from './commands.ts'
import { type ErasureState, erasureStream, retentionStream } from './state.ts'

/** The first rule about an approval that the erasure breaks. */
export function brokenRule(
  approval: ErasureState | undefined,
  isBound: boolean,
  { actor, config, time }: Context,
): string | undefined {
  if (approval === undefined) return 'approval/known'
  const { actor: approver, expires_at, used } = approval
  if (used !== null) return 'approval/unused'
  // After a reset of the clock, an approval can lie in the future. How long it should still last is not known.
  if (expires_at !== null && (time >= expires_at || time < approval.time)) return 'approval/unexpired'
  if (!isBound) return 'approval/erasure'
  if (isSamePerson(approver, actor)) return 'approval/not_self'
  if (!isOperator(config, approver.actor_id)) return 'approval/operator'
  return undefined
}

export function nothingLeft(): Refusal {
  return refuse('NOT_FOUND', 'no free text is left of those that are selected')
}

export function otherConfig(): Refusal {
  return refuse('OBJECT_IN_USE', 'another configuration is in force now', { for: 'retention' })
}

export function holdOn(
  { held, retention_seq }: Pick<Found, 'held' | 'retention_seq'>,
  rows: LoadedRows,
): Refusal | undefined {
  if (held !== null)
    return refuse('LEGAL_HOLD', `the legal hold ${held} covers what would be erased`, { hold_id: held })
  if ((rows.get(retentionStream)?.last_seq ?? null) === retention_seq) return undefined
  return refuse('LEGAL_HOLD', 'a legal hold was set or lifted while the request was examined; repeat the request')
}

export function denied({ type }: ErasureCommand, rule_id: string, message: string): Refusal {
  const data = { code: 'ERASURE_DENIED', command: type, message, rule_id }
  return refuse('ERASURE_DENIED', message, { rule_id }, { type: 'erasure.refused', stream: erasureStream, data })
}
