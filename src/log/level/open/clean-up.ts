import type { Layout } from '../../../disk/layout.ts'
import { dropProcessFolders } from '../../../disk/process-folder.ts'
import { dropEvidence, dropStaleEvidence } from '../files.ts'

/** Removes what this and earlier opens kept. The ledger is open by now, so the next open retries what fails here. */
export function cleanUp({ evidence: folder, snapshots }: Layout, evidence: string): void {
  for (const drop of [
    () => dropEvidence(evidence),
    () => dropStaleEvidence(folder),
    () => dropProcessFolders(snapshots, ''),
  ]) {
    try {
      drop()
    } catch {
      // Left-over files cost space and nothing else.
    }
  }
}
