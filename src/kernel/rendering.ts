import { cut } from './canonical.ts'
import type { actionTypes, targetTypes } from './vocabulary.ts'

type Outcome = 'allow' | 'deny' | 'failure' | 'success'
type Severity = 'critical' | 'error' | 'info' | 'warn'
type TargetType = (typeof targetTypes)[number]

/**
 * A value: fixed for the type, or read from a member of the entry's data. Values named in `cases` are replaced.
 * `otherwise` is used if the member is absent, and, with `cases`, for every other value.
 */
export type Source<Value extends string> =
  | Value
  | { from: string; cases?: Readonly<Record<string, Value>>; otherwise?: Value }

/** How entries of one type are rendered as Contract v1 audit events. */
export interface Rendering {
  action_type: Source<(typeof actionTypes)[number]>
  outcome: Source<Outcome>
  severity: Source<Severity>
  /** The target and the command, or the member of the data that has them. */
  target: { target_type: TargetType; name: Source<string>; operation: Source<string> } | { from: string }
  /** Members of the data. The first member that is present is the reason, cut to its limit. */
  outcome_reason: readonly string[]
}

/** Makes rows of system events on one kind of target, whose name is in the data. */
export function rowsOn(target_type: TargetType, name: Source<string>) {
  return (
    operation: Source<string>,
    outcome: Source<Outcome>,
    severity: Source<Severity>,
    ...outcome_reason: string[]
  ): Rendering => {
    return { action_type: 'system', outcome, severity, target: { target_type, name, operation }, outcome_reason }
  }
}

/** Text cut to a number of code units. Cut text has no white space at its end. */
export function shortened(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : cut(text, charsMax).trimEnd()
}
