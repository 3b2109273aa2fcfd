import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { syncFolder } from '../../../disk/durable.ts'
import type { Layout } from '../../../disk/layout.ts'
import { readHint } from '../../../disk/regular-file.ts'
import { limits } from '../../../kernel/limits.ts'
import { toHex } from '../../../merkle/hash.ts'
import { failureOf } from '../../failure.ts'
import { syncFile } from '../files.ts'
import type { Wal } from '../wal/wal.ts'
import { compareHeadFile } from './compare-head-file.ts'
import { type HeadFile, writeHeadFile } from './head-file.ts'

/**
 * Returns the tree head that the database must reach after LevelDB has opened it. That is the head in the head file or,
 * after a crash, the newer head in the write-ahead log. A newer head is first written to the head file, so that every
 * later open notices if LevelDB loses part of its log.
 * Errors: LEDGER_CORRUPT if the log ends before the head in the head file; LEDGER_UNAVAILABLE.
 * Cost: nothing after a clean close; otherwise a sync of the logs and a write of the file.
 */
export async function raiseHead(
  layout: Layout,
  { head, logs }: Wal,
  headFile: HeadFile | undefined,
): Promise<HeadFile | undefined> {
  if (head === undefined || headFile?.size === head.size) return headFile
  const origin = headFile?.origin ?? originOfKey(layout)
  if (origin === undefined) return headFile
  if (headFile !== undefined && headFile.size > head.size) {
    compareHeadFile(headFile, { origin, size: head.size }, () => head.root)
  }
  const raised = { origin, root: toHex(head.root), size: head.size, time: new Date().toISOString() }
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

/** The public key file contains the ledger's origin as the name of the key. */
function originOfKey({ vkey }: Layout): string | undefined {
  return /^([^+]+)\+/.exec(readHint(vkey, limits.homeFileBytes) ?? '')?.[1]
}
