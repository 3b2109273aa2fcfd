import { mkdirSync } from 'node:fs'
import { syncFolder } from '../disk/durable.ts'
import { type EngineFile, readEngineFile, writeEngineFile } from '../disk/engine-file.ts'
import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { KeyedLog } from './keyed/log.ts'
import type { PairReader, StoreSnapshot } from './keyed/store.ts'
import { fingerprint } from './level/files.ts'
import { LevelLog } from './level/level-log.ts'
import { type OpenOptions, openLog as openLevelLog } from './level/open/open.ts'
import { writeOwner } from './level/owner/owner.ts'
import { openStore } from './level/store.ts'
import { storedCopy } from './level/stored-copy.ts'
import type { Log, LogSnapshot, NewMeta } from './log.ts'
import type { SharedLog } from './postgres/shared.ts'

// The one place that chooses an engine.

export { keepFirstHead } from './level/first-head.ts'
export { MemoryLog } from './memory/memory-log.ts'

/** An open log, and whether it is a private copy, which takes no entries. */
export interface OpenedLog {
  isCopy: boolean
  log: Log
}

/**
 * Opens the log of a home folder, in whichever engine it is. `engine` is a connection string in place of the one in the
 * engine file, or `level`: the files, also if the ledger had left them for a database. Errors: those of the engine.
 */
export async function openLog(options: OpenOptions & { engine?: string | undefined }): Promise<OpenedLog> {
  const { engine, layout } = options
  const file = readEngineFile(layout)
  if (file !== undefined && engine !== 'level')
    return openInDatabase(options, { ...file, engine: engine ?? file.engine })
  const log = await openLevelLog(file === undefined ? options : { ...options, layout: leftLayout(layout) })
  return { isCopy: log.copied !== undefined, log }
}

/** Opens the log of a home folder for a node among others; undefined if the log is in files. Errors: as for `openLog`. */
export async function openSharedLog(layout: Layout, engine: string | undefined): Promise<SharedLog | undefined> {
  const file = readEngineFile(layout)
  if (file === undefined) return undefined
  const { SharedLog } = await import('./postgres/shared.ts')
  return SharedLog.open({ ...file, engine: engine ?? file.engine }, layout)
}

/** The files of a home folder whose ledger is in a database. */
export function leftLayout(layout: Layout): Layout {
  return { ...layout, head: layout.leftHead }
}

async function openInDatabase(options: OpenOptions, file: EngineFile): Promise<OpenedLog> {
  const { openFollower, openWriter } = await import('./postgres/open.ts')
  const { acceptsMissingHead, layout, nonce, openWaitSeconds, snapshot } = options
  const opening = { acceptsMissingHead, file, layout }
  const copied = async () => {
    const log = await openFollower(opening)
    try {
      return { isCopy: true, log: await log.copy() }
    } finally {
      await log.close()
    }
  }
  if (snapshot === 'always') return copied()
  try {
    return { isCopy: false, log: await openWriter({ ...opening, openWaitSeconds, process: nonce() }) }
  } catch (error) {
    if (snapshot !== 'if-busy' || !isBusy(error)) throw error
    return copied()
  }
}

/**
 * All pairs of a log as they are stored, for a verification that trusts no derived data. The caller closes them. Cost: none
 * for an engine that keeps pairs in files; otherwise those of `storedCopy`.
 */
export async function storedPairs(log: Log): Promise<StoreSnapshot> {
  if (log instanceof KeyedLog) return log.stored()
  const snapshot = (await log.snapshot()) as LogSnapshot & { pairs: PairReader }
  try {
    return await storedCopy(snapshot.pairs)
  } finally {
    await snapshot.close()
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof LockstepError && error.details.busy === true
}

/**
 * Creates a log, fills it, and closes it: in the empty folder of a home folder, or in the database that `file` names,
 * which the home folder then names, too.
 */
export async function createLog(
  layout: Layout,
  meta: NewMeta,
  { file, fill }: { file?: EngineFile | undefined; fill: (log: Log) => Promise<void> },
): Promise<void> {
  if (file !== undefined) {
    const { createPostgresLog } = await import('./postgres/create.ts')
    writeEngineFile(layout, file)
    return createPostgresLog(file, meta, fill)
  }
  // Created here, because LevelDB would create the folder with the modes of the umask.
  mkdirSync(layout.ledger, { mode: 0o700 })
  const store = await openStore(layout.ledger, { create: true })
  try {
    await fill(await LevelLog.create(store, meta))
    writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
  } finally {
    await store.close()
  }
  syncFolder(layout.ledger)
}
