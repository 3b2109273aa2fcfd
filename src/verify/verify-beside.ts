import { join } from 'node:path'
import { nanoid } from 'nanoid'
import { readConfig } from '../disk/config-file.ts'
import { readEngineFile } from '../disk/engine-file.ts'
import type { Layout } from '../disk/layout.ts'
import { codes, LockstepError } from '../errors.ts'
import type { Config } from '../kernel/config.ts'
import { given } from '../kernel/given.ts'
import { openLog as openAnyLog } from '../log/engines.ts'
import type { KeyedLog } from '../log/keyed/log.ts'
import type { LevelLog } from '../log/level/level-log.ts'
import { openLog } from '../log/level/open/open.ts'
import type { Log } from '../log/log.ts'
import { IndexBehind, SearchIndex } from '../views/search-index.ts'
import { configInLog } from '../writer/config-in-force.ts'
import { rebuildViews } from './rebuild.ts'
import { rebuildBeside } from './rebuild-beside.ts'
import { lastSeqsIn, type Progress, type Verified, verifyEntries, verifyLog } from './verify.ts'

interface Options {
  onProgress: (progress: Progress) => void
  /** Called if the ledger is read beside the process that has it open. */
  onSnapshot: (size: number) => void
  openWaitSeconds: number
  rebuild: boolean
}

/**
 * Verifies a ledger while others use it: the ledger is held only for a moment, to take a snapshot of its files (ADR
 * 0032). If the ledger's files were changed since it was closed, it is verified in place, because other processes
 * could not use it before reading every byte. If another process keeps the ledger open, or it cannot be written, the
 * snapshot is taken without opening it (ADR 0051); a rebuild is then refused. Run this in a child process, because
 * LevelDB may abort it. If the verification fails, the next open reads every byte.
 * Errors: those of `verifyLog` and `openLog`.
 */
export async function verifyBeside(layout: Layout, asked: Options): Promise<Verified> {
  const { onProgress, rebuild } = asked
  if (readEngineFile(layout) !== undefined) return verifyInDatabase(layout, asked)
  let isHeldElsewhere = false
  const onSnapshot = (size: number) => {
    isHeldElsewhere = true
    asked.onSnapshot(size)
  }
  const options = { ...asked, onSnapshot }
  const hold = async <T>(work: (log: LevelLog) => Promise<T>) => using(await opened(layout, options), work)
  let snapshot = await copied(layout, options)
  if ('indexed' in snapshot) return snapshot
  let rebuilt: Verified['rebuilt']
  if (rebuild) {
    try {
      rebuilt = await rebuildVerified(snapshot, layout, onProgress)
      const { size } = snapshot.head()
      await rebuildBeside(snapshot, { hold, nonce: nanoid(12), onSlice: () => onProgress({ done: size, total: size }) })
    } finally {
      await snapshot.close()
    }
    snapshot = await copied(layout, options)
    if ('indexed' in snapshot) return snapshot
  }
  try {
    const lastSeqsNow = async (streams: readonly string[]) =>
      using(await opened(layout, options, 'if-busy'), (log) => lastSeqsIn(log)(streams))
    const config = await configOf(snapshot, layout)
    const verified = await verifyLog(snapshot, layout, config, { lastSeqsNow, onProgress })
    return { ...verified, ...given({ rebuilt }) }
  } catch (error) {
    if (isOfIntegrity(error) && !isHeldElsewhere) await hold(distrusted).catch(() => {})
    throw error
  } finally {
    await snapshot.close()
  }
}

/** Verifies a snapshot of a ledger in a database. Its views cannot be derived again. Errors: INVALID_INPUT (`rebuild`). */
async function verifyInDatabase(layout: Layout, { onProgress, openWaitSeconds, rebuild }: Options): Promise<Verified> {
  if (rebuild) {
    throw new LockstepError('INVALID_INPUT', 'the views of a ledger in a database cannot be derived again in place', {
      hint: 'Move the ledger to files with "lockstep migrate". That derives all views again.',
    })
  }
  const opening = { command: 'lockstep verify', layout, nonce: () => nanoid(12), openWaitSeconds }
  const { log } = await openAnyLog({ ...opening, snapshot: 'always' })
  try {
    return await verifyLog(log, layout, await configOf(log, layout), { onProgress })
  } finally {
    await log.close()
  }
}

/** A snapshot of the ledger, or the result if the ledger had to be verified in place. */
async function copied(layout: Layout, options: Options): Promise<LevelLog | Verified> {
  const log = await opened(layout, options, options.rebuild ? undefined : 'if-busy')
  if (log.copied === undefined)
    return using(log, async () => (log.isDamaged ? verifyInPlace(log, layout, options) : log.copy()))
  options.onSnapshot(log.head().size)
  return log
}

function opened(layout: Layout, { openWaitSeconds }: Options, snapshot?: 'if-busy'): Promise<LevelLog> {
  const nonce = () => nanoid(12)
  return openLog({ layout, openWaitSeconds, command: 'lockstep verify', nonce, isExpendable: true, snapshot })
}

async function using<T>(log: LevelLog, work: (log: LevelLog) => Promise<T>): Promise<T> {
  try {
    return await work(log)
  } finally {
    await log.close()
  }
}

async function verifyInPlace(log: KeyedLog, layout: Layout, { onProgress, rebuild }: Options): Promise<Verified> {
  const rebuilt = rebuild ? await rebuildVerified(log, layout, onProgress) : undefined
  const verified = await verifyLog(log, layout, await configOf(log, layout), { onProgress })
  log.isDamaged = false
  return { ...verified, ...given({ rebuilt }) }
}

/**
 * Derives all views again, but only from entries that verify against the tree head outside the database. Rows that
 * differ from the new ones may show what somebody changed, so they are kept. Errors: those of `verifyEntries`.
 */
async function rebuildVerified(log: KeyedLog, layout: Layout, onProgress: Options['onProgress']) {
  const anchorSize = await verifyEntries(log, onProgress)
  const path = join(layout.evidence, `rebuild-${nanoid(12)}.jsonl`)
  const { kept } = await rebuildViews(log, {
    onProgress: (done, total) => onProgress({ done, total }),
    replaced: path,
  })
  await indexAll(log, onProgress)
  return { anchor_size: anchorSize ?? null, replaced: kept > 0 ? path : null, replaced_rows: kept }
}

/** The configuration in force. A ledger of an older version has none yet, and then its file is read. */
async function configOf(log: Log, { config }: Layout): Promise<Config> {
  return ((await configInLog(log)) ?? readConfig(config)).config
}

/** Derives the index to the end and reports progress, because a child that reports nothing counts as hung. */
async function indexAll(log: KeyedLog, onProgress: Options['onProgress']): Promise<void> {
  const index = new SearchIndex(log)
  index.waitMillisMax = progressMillis
  const { size } = log.head()
  while ((await index.cursor()) < size) {
    await index.reached(size).catch((error: unknown) => {
      if (!(error instanceof IndexBehind)) throw error
      onProgress({ done: error.cursor, total: size })
    })
  }
}

const progressMillis = 500

async function distrusted(log: KeyedLog): Promise<void> {
  log.isDamaged = true
}

function isOfIntegrity(error: unknown): boolean {
  return error instanceof LockstepError && codes[error.code].exit === codes.VERIFY_FAILED.exit
}
