import type { Entry } from '../entry.ts'

/** The audit stream keeps nothing but its place in the log; `count` makes a rebuilt row comparable. */
export interface AuditState {
  count: number
}

export function evolve(state: AuditState | undefined, _entry: Entry): AuditState {
  return { count: (state?.count ?? 0) + 1 }
}
