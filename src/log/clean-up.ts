import type { Layout } from '../fs/layout.ts'
import { dropProcessFolders } from '../fs/process-folder.ts'
import { dropEvidence, dropStaleEvidence } from './files.ts'

/** Removes what this and earlier processes kept. The ledger is open by now, so a failure is left to the next open. */
export function cleanUp({ evidence: folder, snapshots }: Layout, evidence: string): void {
  for (const drop of [
    () => dropEvidence(evidence),
    () => dropStaleEvidence(folder),
    () => dropProcessFolders(snapshots, ''),
  ]) {
    try {
      drop()
    } catch {
      // What is left over costs space, and nothing else.
    }
  }
}
