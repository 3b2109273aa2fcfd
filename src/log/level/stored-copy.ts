import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileError } from '../../disk/durable.ts'
import { dropProcessFolders, processFolderName } from '../../disk/process-folder.ts'
import { ranges } from '../keyed/rows/keys.ts'
import type { PairReader, StoreSnapshot } from '../keyed/store.ts'
import { removeAtEnd } from './open/snapshot-files.ts'
import { openStore } from './store.ts'

const prefix = 'lockstep-pairs-'

/**
 * Copies pairs from elsewhere to a temporary database in files, for work that reads them many times and in any order.
 * Closing it removes it. Errors: those of both places, DISK_FULL, FILE_DENIED, FILE_FAILED. Cost: the size of the ledger,
 * in the folder for temporary files.
 */
export async function storedCopy(pairs: PairReader): Promise<StoreSnapshot> {
  const folder = join(tmpdir(), processFolderName(prefix, randomBytes(9).toString('hex')))
  const stopWatching = removeAtEnd(folder)
  const remove = () => {
    stopWatching()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    dropProcessFolders(tmpdir(), prefix)
    for (const path of [folder, join(folder, 'ledger')]) mkdirSync(path, { mode: 0o700 })
    const store = await openStore(join(folder, 'ledger'), { create: true })
    for await (const page of pairs.scan(ranges.all)) {
      await store.write({ puts: page.map(([key, value]) => ({ key, value })), deletes: [] })
    }
    const snapshot = store.snapshot()
    const close = async () => {
      await snapshot.close()
      await store.close()
      remove()
    }
    return { ...snapshot, close }
  } catch (error) {
    remove()
    throw fileError(error, `copying the ledger to ${folder}`)
  }
}
