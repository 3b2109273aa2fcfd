import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { syncFolder } from '../../../disk/durable.ts'
import type { Layout } from '../../../disk/layout.ts'
import { toHex } from '../../../merkle/hash.ts'
import { compareHeadFile } from '../../compare-head-file.ts'
import { failureOf } from '../../failure.ts'
import { writeHeadFile } from '../../head-file.ts'
import type { TreeHeadFile } from '../../log.ts'
import { syncFile } from '../files.ts'
import type { Wal } from '../wal/wal.ts'

/**
 * Returns the tree heads that the database must reach after LevelDB has opened it. These are the ones in the head file
 * and, after a crash, the newer head in the write-ahead log. That one is first written to the head file, without a
 * signature, so that every later open notices if LevelDB loses part of its log. It is signed once the tree is read.
 * Errors: LEDGER_CORRUPT if the log ends before a head in the head file; LEDGER_UNAVAILABLE.
 * Cost: nothing after a clean close; otherwise a sync of the logs and a write of the file.
 */
export async function raiseHead(
  layout: Layout,
  { head, logs }: Wal,
  headFile: TreeHeadFile | undefined,
): Promise<TreeHeadFile | undefined> {
  if (head === undefined || headFile === undefined) return headFile
  const { note, origin, reached = headFile } = headFile
  if (reached.size === head.size) return headFile
  if (reached.size > head.size) {
    compareHeadFile(headFile, { origins: [origin], size: head.size }, () => head.root)
  }
  const newer = { root: toHex(head.root), size: head.size }
  const raised = note === undefined ? { origin, ...newer } : { ...headFile, reached: newer }
  try {
    // The head file must never be ahead of the durable data, and the last write of the dead process may not be durable
    // yet.
    for (const name of logs) syncFile(join(layout.ledger, name))
    syncFolder(layout.ledger)
    // Only LevelDB's lock shows whether another process has the ledger open despite the guard.
    await writeHeadFile(layout.head, raised, `${layout.head}.${randomBytes(8).toString('hex')}.tmp`)
  } catch (error) {
    throw failureOf(`updating ${layout.head} to the end of the log`, error)
  }
  return raised
}
