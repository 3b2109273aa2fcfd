import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Level } from 'level'
import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { deniedByNode, isDeniedByNode } from '../fs/node-permissions.ts'
import { adoptMadeSince } from '../fs/ownership.ts'
import { copyDatabase } from './copy-database.ts'
import { corrupt } from './corrupt.ts'
import { failureOf } from './failure.ts'
import { problemOfTable } from './table.ts'

/** One atomic write: all of it or nothing. */
export interface StoreBatch {
  puts: { key: Uint8Array; value: Uint8Array }[]
  deletes: Uint8Array[]
}

export interface Range {
  gte: Uint8Array
  lt: Uint8Array
  reverse?: boolean
  limit?: number
}

/**
 * Bytes under keys, to be read. Errors: LEDGER_CORRUPT where LevelDB itself finds damage, LEDGER_UNAVAILABLE where it
 * cannot read, LEDGER_CLOSED.
 */
export interface StoreReader {
  /** The bytes under a key, read at once. */
  get(key: Uint8Array): Uint8Array | undefined
  /** Pages of pairs in key order, as they are when the first page is asked for. */
  scan(range: Range): AsyncGenerator<[Uint8Array, Uint8Array][]>
  /**
   * Compares the checksums of the files that it reads from, which reading them does not: what a damaged index hides is
   * missing in silence. Errors: LEDGER_CORRUPT. Cost: a pass over their bytes.
   */
  checkFiles(): Promise<void>
}

/** What the store held at one moment, whatever is written since. */
export interface StoreSnapshot extends StoreReader {
  close(): Promise<void>
}

/** Bytes under keys. LevelDB behind it, or a test's store that fails before or after it persists. */
export interface Store extends StoreReader {
  /** Applies the batch and syncs it to the disk before it resolves. */
  write(batch: StoreBatch): Promise<void>
  /** Holds on to what is there now, until it is closed. */
  snapshot(): StoreSnapshot
  /** Copies the database into an empty folder, by links to what never changes. Nothing may be written meanwhile. */
  copyTo(folder: string): void
  /** Waits, for a bounded time, until few files are left to be compacted. */
  settle(millisMax: number): Promise<void>
  close(): Promise<void>
}

/** A store in files. */
export interface FileStore extends Store {
  /** The names of the tables that it reads from now. */
  tables(): string[]
  /** Makes tables of what is in memory and in the write-ahead log only. */
  saveMemory(): Promise<void>
}

const scanPage = 512
const filesAtLevelZeroMax = 8
const firstKey = Buffer.of(0)

export interface StoreOptions {
  create: boolean
  /** Another path to the folder, by which LevelDB is to find its files. */
  at?: string
}

/**
 * Opens the LevelDB in a folder. Only `create` makes one: opening with a lost CURRENT would otherwise start an
 * empty database and delete the old tables. Errors: LEDGER_UNAVAILABLE (busy, or the system's), LEDGER_CORRUPT.
 */
export async function openStore(folder: string, { at = folder, create }: StoreOptions): Promise<FileStore> {
  // The clock of a file system may be a few milliseconds behind.
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
    // LevelDB begins with its memory, whatever the range.
    saveMemory: () => level.compactRange(firstKey, firstKey),
    close: async () => {
      await level.close()
      adoptMadeSince(at, openedAt, filesOfLevel)
    },
  }
}

/** What LevelDB makes, but for the file that it locks: to open and close that file is to lose the lock. */
const filesOfLevel = /^(?:CURRENT|LOG|MANIFEST-|\d+\.)/

/** Its addon is loaded when it is needed, so that whoever may not load one is told by an error of ours. */
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

// Level's own type leaves out what only LevelDB has.
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
        // Without options where there is no snapshot: that is the fast way through abstract-level.
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
        // Whoever stops reading never asks for it, and nobody may be left with its rejection.
        page.catch(() => {})
        return page
      }
      try {
        for (let coming = nextPage(); ; ) {
          const page = await coming
          if (page.length === 0) return
          // LevelDB reads on while this page is worked on.
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
    // A few milliseconds each, and others are served in between.
    await new Promise(setImmediate)
    const table = tableIn(level, name)
    // One that was compacted meanwhile is none of its files any more.
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

/** The names of the tables in use: a line each, of which the first number is the table's. */
function tablesOf(level: LevelDb): string[] {
  const numbers = level.getProperty('leveldb.sstables').matchAll(/^ (\d+):\d+\[/gm)
  return [...numbers].map(([, number = '']) => `${number.padStart(6, '0')}.ldb`)
}

/** Another owner, or an error of the system: LevelDB says `lock <path>` of both, with what the system said. */
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

/** What begins a read, with the errors of one. */
function reading<T>(level: LevelDb, begin: () => T): T {
  try {
    return begin()
  } catch (error) {
    throw readError(level.location, error)
  }
}

/** What LevelDB says of a damaged or missing table, when it says anything, comes only when it is read. */
function readError(folder: string, error: unknown): LockstepError {
  if (/^LEVEL_\w+_NOT_OPEN$/.test(systemCodeOf(error) ?? '')) {
    return new LockstepError('LEDGER_CLOSED', 'the ledger was closed while it was read', { cause: error })
  }
  return failureOf(`LevelDB cannot read ${folder}`, error)
}
