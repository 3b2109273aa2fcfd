import type { Custody } from './custody.ts'
import type { Store, StoreReader } from './store.ts'

/**
 * A store that stops when its ledger is moved: nothing is written then, and what was written is not called durable.
 * What cannot be read may have been removed just now, so that is asked before anything is called damaged.
 * Errors: LEDGER_MOVED, beside those of the store.
 */
export function keptStore(store: Store, custody: () => Custody | undefined): Store {
  return {
    ...keptReader(store, custody),
    write: async (batch) => {
      custody()?.assert('not_applied')
      await store.write(batch)
      custody()?.assert('unknown')
    },
    snapshot: () => {
      custody()?.assertNotMoved()
      const snapshot = store.snapshot()
      return { ...keptReader(snapshot, custody), close: () => snapshot.close() }
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
        custody()?.assert('not_applied')
        throw error
      })
    },
    get: (key) => {
      custody()?.assertNotMoved()
      try {
        return reader.get(key)
      } catch (error) {
        custody()?.assert('not_applied')
        throw error
      }
    },
    scan: async function* (range) {
      custody()?.assertNotMoved()
      try {
        yield* reader.scan(range)
      } catch (error) {
        custody()?.assert('not_applied')
        throw error
      }
    },
  }
}
