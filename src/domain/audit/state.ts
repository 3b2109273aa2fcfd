import type { Entry } from '../../kernel/entry.ts'

/** The audit stream has no state besides its place in the log. `count` makes it possible to compare a rebuilt row. */
export interface AuditState {
  count: number
}

export function evolve(state: AuditState | undefined, _entry: Entry): AuditState {
  return { count: (state?.count ?? 0) + 1 }
}
