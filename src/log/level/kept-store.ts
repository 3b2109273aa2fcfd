import { LockstepError } from '../../errors.ts'
import type { Store, StoreReader } from '../keyed/store.ts'
import type { Custody } from './owner/custody.ts'

/**
 * A store that stops working when its ledger is moved. It then refuses writes and does not report earlier ones as
 * durable. A file that cannot be read may just have been removed, so the store checks for a move before it reports
 * damage.
 * Errors: LEDGER_MOVED, and those of the store.
 */
export function keptStore(store: Store, custody: () => Custody | undefined): Store {
  return {
    ...keptReader(store, custody),
    write: async (batch) => {
      custody()?.assertBefore()
      await store.write(batch)
      custody()?.assertAfter()
    },
    snapshot: () => {
      custody()?.assertNotMoved()
      const snapshot = store.snapshot()
      return { ...keptReader(snapshot, custody), close: () => snapshot.close() }
    },
    copyTo: (folder) => {
      custody()?.assertNotMoved()
      store.copyTo(folder)
    },
    flush: () => {
      custody()?.assertNotMoved()
      return store.flush()
    },
    rewrite: (ranges, isKept) => {
      custody()?.assertNotMoved()
      return store.rewrite(ranges, isKept)
    },
    settle: (millisMax) => store.settle(millisMax),
    close: () => store.close(),
  }
}

function keptReader(reader: StoreReader, custody: () => Custody | undefined): StoreReader {
  return {
    checkFiles: async () => {
      custody()?.assertNotMoved()
      await reader.checkFiles().catch((error: unknown) => {
        stopIfMoved(custody(), error)
        throw error
      })
    },
    get: (key) => {
      custody()?.assertNotMoved()
      try {
        return reader.get(key)
      } catch (error) {
        stopIfMoved(custody(), error)
        throw error
      }
    },
    scan: async function* (range) {
      custody()?.assertNotMoved()
      try {
        yield* reader.scan(range)
      } catch (error) {
        stopIfMoved(custody(), error)
        throw error
      }
    },
  }
}

function stopIfMoved(custody: Custody | undefined, error: unknown): void {
  if (!(error instanceof LockstepError) || error.code !== 'LEDGER_CORRUPT') return
  custody?.assertInPlace()
}
