import type { Reactor } from '../reactor.ts'
import type { WorkspaceFiles } from './workspace-files.ts'

/**
 * Writes promoted state and pins to the workspace on disk. One call may write several promotions; their entries are
 * then skipped.
 */
export function materialiseReactor(files: Pick<WorkspaceFiles, 'follow' | 'followPin'>): Reactor {
  return {
    name: 'materialise',
    concerns: ({ type }) => ['turn.pinned', 'turn.promoted', 'turn.unpinned'].includes(type),
    handle: async (entry) => {
      await (entry.type === 'turn.promoted' ? files.follow(entry) : files.followPin(entry))
      return 'done'
    },
  }
}
