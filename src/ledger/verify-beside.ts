import { nanoid } from 'nanoid'
import { codes, LockstepError } from '../errors.ts'
import { readConfig } from '../fs/config-file.ts'
import type { Layout } from '../fs/layout.ts'
import type { Log } from '../log/log.ts'
import { closeLog, openLog } from '../log/open.ts'
import { takeSnapshot } from '../log/snapshot-files.ts'
import { rebuildViews } from '../views/rebuild.ts'
import { rebuildBeside } from '../views/rebuild-beside.ts'
import { SearchIndex } from '../views/search-index.ts'
import { lastSeqsIn, type Progress, type Verified, verifyLog } from './verify.ts'

interface Options {
  onProgress: (progress: Progress) => void
  openWaitSeconds: number
  rebuild: boolean
}

/**
 * Verifies a ledger while others use it: the ledger is held for a moment, and a snapshot of its files is read (ADR
 * 0032). A ledger whose files were changed is verified in place: everybody else would have to read every byte of it
 * before they could use it. For a process that may die of the database.
 * Errors: those of `verifyLog` and `openLog`. What fails makes the next open read every byte.
 */
export async function verifyBeside(layout: Layout, options: Options): Promise<Verified> {
  const { onProgress, openWaitSeconds, rebuild } = options
  const holding = async <T>(work: (log: Log) => Promise<T>): Promise<T> => {
    const isExpendable = true
    const log = await openLog({
      layout,
      openWaitSeconds,
      command: 'lockstep verify',
      nonce: () => nanoid(12),
      isExpendable,
    })
    try {
      return await work(log)
    } finally {
      await closeLog(log, layout)
    }
  }
  const copied = async (log: Log) => (log.isDamaged ? undefined : takeSnapshot(log, layout, nanoid(12)))
  const inPlace = (log: Log) => verifyInPlace(log, layout, options)

  const first = await holding(async (log) => (await copied(log)) ?? inPlace(log))
  if ('entries' in first) return first
  let snapshot = first
  if (rebuild) {
    try {
      const { log } = snapshot
      await rebuildViews(log, (done, total) => onProgress({ done, total }))
      await new SearchIndex(log).reached(log.head().size)
      await rebuildBeside(log, { hold: holding, nonce: nanoid(12) })
    } finally {
      await snapshot.close()
    }
    const second = await holding(async (log) => (await copied(log)) ?? inPlace(log))
    if ('entries' in second) return second
    snapshot = second
  }
  try {
    const lastSeqsNow = (streams: readonly string[]) => holding((log) => lastSeqsIn(log)(streams))
    return await verifyLog(snapshot.log, snapshot.layout, readConfig(layout.config), { lastSeqsNow, onProgress })
  } catch (error) {
    if (isOfIntegrity(error)) await holding(distrusted).catch(() => {})
    throw error
  } finally {
    await snapshot.close()
  }
}

async function verifyInPlace(log: Log, layout: Layout, { onProgress, rebuild }: Options): Promise<Verified> {
  if (rebuild) {
    await rebuildViews(log, (done, total) => onProgress({ done, total }))
    await new SearchIndex(log).reached(log.head().size)
  }
  const verified = await verifyLog(log, layout, readConfig(layout.config), { onProgress })
  log.isDamaged = false
  return verified
}

async function distrusted(log: Log): Promise<void> {
  log.isDamaged = true
}

function isOfIntegrity(error: unknown): boolean {
  return error instanceof LockstepError && codes[error.code].exit === codes.VERIFY_FAILED.exit
}
