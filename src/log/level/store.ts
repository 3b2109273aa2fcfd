import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Level } from 'level'
import { deniedByNode, isDeniedByNode } from '../../disk/node-permissions.ts'
import { adoptMadeSince } from '../../disk/ownership.ts'
import { LockstepError, messageOf, systemCodeOf } from '../../errors.ts'
import { corrupt } from '../corrupt.ts'
import { failureOf } from '../failure.ts'
import type { Store, StoreReader } from '../keyed/store.ts'
import { copyDatabase } from './copy-database.ts'
import { compactedRanges, hasOthers } from './rewrite.ts'
import { problemOfTable } from './table.ts'

/** A store in files. */
export interface FileStore extends Store {
  /** The names of the tables in use. */
  tables(): string[]
}

const scanPage = 512
const filesAtLevelZeroMax = 8
const firstKey = Buffer.of(0)

export interface StoreOptions {
  create: boolean
  /** Another path to the folder, for LevelDB to use. */
  at?: string
}

/**
 * Opens the LevelDB in a folder. A new database is made only with `create`. Otherwise, if CURRENT were lost, LevelDB
 * would start an empty database and delete the old tables.
 * Errors: LEDGER_UNAVAILABLE (busy, or a system error), LEDGER_CORRUPT.
 */
export async function openStore(folder: string, { at = folder, create }: StoreOptions): Promise<FileStore> {
  // The clock of the file system may be a few milliseconds behind.
  const openedAt = Date.now() - 20
  const level = await newLevel(at, create)
  try {
    await level.open()
  } catch (error) {
    throw openError(folder, error)
  }
  return {
    tables: () => (level.status === 'open' ? tablesOf(level) : []),
    ...readerOf(level),
    write: async ({ puts, deletes }) => {
      const batch = level.batch()
      for (const { key, value } of puts) batch.put(key, value)
      for (const key of deletes) batch.del(key)
      await batch.write({ sync: true })
    },
    snapshot: () => {
      const snapshot = reading(level, () => level.snapshot())
      return { ...readerOf(level, snapshot), close: () => snapshot.close() }
    },
    copyTo: (to) => copyDatabase(folder, to, tablesOf(level)),
    settle: async (millisMax) => {
      const until = performance.now() + millisMax
      while (
        Number(level.getProperty('leveldb.num-files-at-level0')) > filesAtLevelZeroMax &&
        performance.now() < until
      ) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
    // LevelDB always starts with its memory, whatever the range.
    flush: () => level.compactRange(firstKey, firstKey),
    rewrite: async (ranges, isKept) => {
      for (const { gte, lt } of compactedRanges(ranges)) await level.compactRange(gte, lt)
      return !(await hasOthers(at, ranges, isKept))
    },
    close: async () => {
      await level.close()
      adoptMadeSince(at, openedAt, filesOfLevel)
    },
  }
}

/**
 * Lets LevelDB rebuild CURRENT and MANIFEST from the tables and logs in a folder. It drops what it cannot read, so this is
 * only for copies. Errors: LEDGER_UNAVAILABLE, LEDGER_CORRUPT.
 */
export async function repairStore(folder: string): Promise<void> {
  const { Level } = await import('level')
  // Level's type lacks what only LevelDB has.
  await (Level as unknown as { repair(folder: string): Promise<void> }).repair(folder).catch((error: unknown) => {
    throw failureOf(`LevelDB cannot repair ${folder}`, error)
  })
}

/** The files that LevelDB creates, except its lock file: opening and closing that file would release the lock. */
const filesOfLevel = /^(?:CURRENT|LOG|MANIFEST-|\d+\.)/

/** The addon is loaded on first use. If Node's permissions forbid addons, the caller then gets a Lockstep error. */
async function newLevel(folder: string, create: boolean): Promise<LevelDb> {
  const { Level } = await import('level').catch((error: unknown) => {
    throw isDeniedByNode(error) ? deniedByNode(error, 'loading LevelDB') : error
  })
  return new Level(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: create,
    errorIfExists: create,
  }) as LevelDb
}

// Adds the methods that Level's type lacks because only LevelDB has them.
type LevelDb = Level<Uint8Array, Uint8Array> & {
  getProperty(name: string): string
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
}

function readerOf(level: LevelDb, snapshot?: ReturnType<LevelDb['snapshot']>): StoreReader {
  const at = snapshot === undefined ? {} : { snapshot }
  return {
    checkFiles: () => checkTables(level),
    get: (key) => {
      try {
        // Without a snapshot, no options are passed: abstract-level has a faster path for that case.
        return snapshot === undefined ? level.getSync(key) : level.getSync(key, at)
      } catch (error) {
        throw readError(level.location, error)
      }
    },
    scan: async function* (range) {
      const limit = range.limit ?? -1
      const options = { ...range, ...at, limit, highWaterMarkBytes: 1024 * 1024 }
      const iterator = reading(level, () => level.iterator(options))
      const nextPage = () => {
        const page = iterator.nextv(scanPage)
        // If the consumer stops reading, nothing awaits this page, so its rejection is handled here.
        page.catch(() => {})
        return page
      }
      try {
        for (let coming = nextPage(); ; ) {
          const page = await coming
          if (page.length === 0) return
          // LevelDB reads the next page while the caller processes this one.
          coming = nextPage()
          yield page
        }
      } catch (error) {
        throw error instanceof LockstepError ? error : readError(level.location, error)
      } finally {
        await iterator.close()
      }
    },
  }
}

async function checkTables(level: LevelDb): Promise<void> {
  for (const name of tablesOf(level)) {
    // Each table takes a few milliseconds, so this yields to other work in between.
    await new Promise(setImmediate)
    const table = tableIn(level, name)
    // The table was compacted in the meantime and is no longer in use.
    if (table === undefined && !tablesOf(level).includes(name)) continue
    const problem = table === undefined ? 'it is missing' : problemOfTable(table)
    if (problem !== undefined)
      throw corrupt(`the table ${name} is damaged: ${problem}`, { check: 'tables', file: name })
  }
}

function tableIn(level: LevelDb, name: string): Buffer | undefined {
  try {
    return readFileSync(join(level.location, name))
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw failureOf(`reading ${name}`, error)
  }
}

/** The names of the tables in use. Each line of the property starts with a table's number. */
function tablesOf(level: LevelDb): string[] {
  const numbers = level.getProperty('leveldb.sstables').matchAll(/^ (\d+):\d+\[/gm)
  return [...numbers].map(([, number = '']) => `${number.padStart(6, '0')}.ldb`)
}

/**
 * The lock is held by another process, or locking failed. In both cases LevelDB reports `lock <path>` and the system's
 * message.
 */
const isLocked = /: lock .*(?:Resource temporarily unavailable|Permission denied|already held by process)$/

function openError(folder: string, error: unknown): LockstepError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  if (systemCodeOf(cause) === 'LEVEL_LOCKED' && isLocked.test(messageOf(cause))) {
    return new LockstepError('LEDGER_UNAVAILABLE', 'another process has the ledger open', {
      details: { busy: true, outcome: 'not_applied' },
      cause,
    })
  }
  return failureOf(`LevelDB cannot open ${folder}`, cause)
}

/** Starts a read and converts its errors. */
function reading<T>(level: LevelDb, begin: () => T): T {
  try {
    return begin()
  } catch (error) {
    throw readError(level.location, error)
  }
}

/** LevelDB reports a damaged or missing table only when it reads from it, and not always then. */
function readError(folder: string, error: unknown): LockstepError {
  if (/^LEVEL_\w+_NOT_OPEN$/.test(systemCodeOf(error) ?? '')) {
    return new LockstepError('LEDGER_CLOSED', 'the ledger was closed during a read', { cause: error })
  }
  return failureOf(`LevelDB cannot read ${folder}`, error)
}
