import { ownMember } from '../../kernel/ids.ts'
import { folded, isBlank } from '../../kernel/visible.ts'
import type { Action } from './action.ts'

/**
 * Whether a fact that a lane requires is stated. A text for nothing, such as `none`, `0` or a zero-width space, states
 * nothing. Nor does a word that stands for a missing value, such as `TBD`. An id is never an answer such as yes or true,
 * and a signoff counts only if it is exactly true.
 */
export function isStated(scope: Action['scope'], key: string): boolean {
  const value = ownMember(scope, key)
  if (key === 'attorney_signoff') return value === true
  if (value === undefined) return false
  if (typeof value === 'boolean') return value && !key.endsWith('_id')
  const text = String(value)
  const word = folded(text).replace(/[^\p{L}\p{N}]/gu, '')
  return !isBlank(text) && !missing.test(word) && !(key.endsWith('_id') && answer.test(word))
}

/** What people and programs write for a value that they do not have, by its letters and digits alone. */
const missing =
  /^(?:0+(?:x0+)?|false|fixme|missing|na|nan|nil|none|nothing|not(?:applicable|available|known)|null|pending|placeholder|tb[acd]|todo|undefined|unknown|unspecified|x{3,})$/
const answer = /^(?:no|ok|okay|true|yes)$/

/** Whether a member is there and has a character, so that it can differ from a fact of the run. */
export function isGiven(scope: Action['scope'], key: string): boolean {
  return String(ownMember(scope, key) ?? '').trim() !== ''
}
