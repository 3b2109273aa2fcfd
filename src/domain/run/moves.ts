import type { RunStatus } from '../../kernel/vocabulary.ts'

/** The seven moves between states of a run. Terminal states are final (Run Lifecycle, Contract v1, section 3). */
export const moves: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  created: ['running', 'denied', 'cancelled'],
  running: ['completed', 'failed', 'denied', 'cancelled'],
  completed: [],
  failed: [],
  denied: [],
  cancelled: [],
}

/** Whether a run may move from one state to another. */
export function mayMove(from: RunStatus, to: RunStatus): boolean {
  return moves[from].includes(to)
}

/** Whether a run is in a terminal state. */
export function isTerminal(status: RunStatus): boolean {
  return moves[status].length === 0
}
