import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { syncFolder } from '../fs/durable.ts'
import { type HeadFile, writeHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { readHint } from '../fs/regular-file.ts'
import { toHex } from '../merkle/hash.ts'
import { compareHeadFile } from './compare-head-file.ts'
import { failureOf } from './failure.ts'
import { syncFile } from './files.ts'
import type { Wal } from './wal.ts'

/**
 * The tree head that the database must reach once LevelDB has opened it: that of the head file or, after a crash, the
 * newer one of the write-ahead log, which goes into the file first. Should LevelDB then lose part of its log, every later
 * open knows. Errors: LEDGER_CORRUPT where the log ends before the head file does, LEDGER_UNAVAILABLE.
 * Cost: nothing after a close; else a sync of the logs and a write of the file.
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
    // A head must not be ahead of what is durable, and the last write of the process that died may not be yet.
    for (const name of logs) syncFile(join(layout.ledger, name))
    syncFolder(layout.ledger)
    // Whether another process has the ledger open after all, only LevelDB's lock will tell.
    await writeHeadFile(layout.head, raised, `${layout.head}.${randomBytes(8).toString('hex')}.tmp`)
  } catch (error) {
    throw failureOf(`raising ${layout.head} to the log's end`, error)
  }
  return raised
}

/** The key is named for the ledger. */
function originOfKey({ vkey }: Layout): string | undefined {
  return /^([^+]+)\+/.exec(readHint(vkey, limits.homeFileBytes) ?? '')?.[1]
}
