import { Level } from 'level'
import { LockstepError, systemCodeOf } from '../errors.ts'

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

/** Bytes under keys. LevelDB behind it, or a test's store that fails before or after it persists. */
export interface Store {
  /** The bytes under a key, read at once. */
  get(key: Uint8Array): Uint8Array | undefined
  /** Applies the batch and syncs it to the disk before it resolves. */
  write(batch: StoreBatch): Promise<void>
  /** Pages of pairs in key order, from a snapshot taken at the call. */
  scan(range: Range): AsyncGenerator<[Uint8Array, Uint8Array][]>
  /** Waits, for a bounded time, until few files are left to be compacted. */
  settle(millisMax: number): Promise<void>
  close(): Promise<void>
}

const scanPage = 512
const filesAtLevelZeroMax = 8

/**
 * Opens the LevelDB in a folder. Only `create` makes one: opening with a lost CURRENT would otherwise start an
 * empty database and delete the old tables. Errors: LEDGER_UNAVAILABLE (busy), LEDGER_CORRUPT (will not open).
 */
export async function openStore(folder: string, { create }: { create: boolean }): Promise<Store> {
  const level = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: create,
    errorIfExists: create,
  })
  try {
    await level.open()
  } catch (error) {
    throw openError(folder, error)
  }
  return {
    get: (key) => level.getSync(key),
    write: async ({ puts, deletes }) => {
      const batch = level.batch()
      for (const { key, value } of puts) batch.put(key, value)
      for (const key of deletes) batch.del(key)
      await batch.write({ sync: true })
    },
    scan: async function* (range) {
      const iterator = level.iterator({ ...range, limit: range.limit ?? -1, highWaterMarkBytes: 1024 * 1024 })
      try {
        for (;;) {
          const page = await iterator.nextv(scanPage)
          if (page.length === 0) return
          yield page
        }
      } finally {
        await iterator.close()
      }
    },
    settle: async (millisMax) => {
      const until = performance.now() + millisMax
      while (
        Number(property(level, 'leveldb.num-files-at-level0')) > filesAtLevelZeroMax &&
        performance.now() < until
      ) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
    close: () => level.close(),
  }
}

// Level's own type leaves out what only LevelDB has.
function property(level: Level<Uint8Array, Uint8Array>, name: string): string {
  return (level as unknown as { getProperty(name: string): string }).getProperty(name)
}

function openError(folder: string, error: unknown): LockstepError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = systemCodeOf(cause)
  const text = cause instanceof Error ? cause.message : String(cause)
  if (code === 'LEVEL_LOCKED') {
    return new LockstepError('LEDGER_UNAVAILABLE', 'another process has the ledger open', {
      details: { busy: true },
      cause,
    })
  }
  if (/No space left|Permission denied|Read-only file system|Too many open files/i.test(text)) {
    return new LockstepError('LEDGER_UNAVAILABLE', `opening ${folder}: ${text}`, { cause })
  }
  return new LockstepError('LEDGER_CORRUPT', `LevelDB cannot open ${folder}: ${text}`, { cause })
}
