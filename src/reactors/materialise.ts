import type { WorkspaceFiles } from '../ledger/workspace-files.ts'
import type { Reactor } from './reactor.ts'

/** Writes promoted state to the workspace on disk. The entries of promotions that came along are then found done. */
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
