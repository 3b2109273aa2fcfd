import type { WorkspaceFiles } from '../ledger/workspace-files.ts'
import type { Reactor } from './reactor.ts'

/**
 * Writes promoted state to the workspace on disk. One call may write several promotions; their entries are then
 * skipped.
 */
export function materialiseReactor(files: Pick<WorkspaceFiles, 'follow'>): Reactor {
  return {
    name: 'materialise',
    concerns: ({ type }) => type === 'turn.promoted',
    handle: async (entry) => {
      await files.follow(entry)
      return 'done'
    },
  }
}
