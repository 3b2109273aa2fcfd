import type { Reactor } from '../reactor.ts'
import type { WorkspaceFiles } from './workspace-files.ts'

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
