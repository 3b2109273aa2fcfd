import { ownMember } from '../../kernel/ids.ts'
import { isBlank } from '../../kernel/visible.ts'
import type { Action } from './action.ts'

/**
 * Whether a fact that a lane requires is stated. A text for nothing, such as `none`, `0` or a zero-width space, states
 * nothing. An id is never true or false, and a signoff counts only if it is exactly true.
 */
export function isStated(scope: Action['scope'], key: string): boolean {
  const value = ownMember(scope, key)
  if (key === 'attorney_signoff') return value === true
  if (value === undefined) return false
  if (typeof value === 'boolean') return value && !key.endsWith('_id')
  return !isBlank(String(value))
}

/** Whether a member is there and has a character, so that it can differ from a fact of the run. */
export function isGiven(scope: Action['scope'], key: string): boolean {
  return String(ownMember(scope, key) ?? '').trim() !== ''
}
