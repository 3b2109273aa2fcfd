import type { RunStatus } from '../vocabulary.ts'

/** Where a run may go from each state: seven moves, and none from where it has ended (seed 3, section 3). */
export const moves: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  created: ['running', 'denied', 'cancelled'],
  running: ['completed', 'failed', 'denied', 'cancelled'],
  completed: [],
  failed: [],
  denied: [],
  cancelled: [],
}

/** Whether a run may go from one state to another. */
export function mayMove(from: RunStatus, to: RunStatus): boolean {
  return moves[from].includes(to)
}

/** Whether a run has ended: nothing changes it any more. */
export function isTerminal(status: RunStatus): boolean {
  return moves[status].length === 0
}
