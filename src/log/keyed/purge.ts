import { limits } from '../../kernel/limits.ts'
import type { Erased } from '../erased.ts'
import { erasedAt } from './objects.ts'
import { entryKey, objectKey, objectRange, rangeOf, rowKey } from './rows/keys.ts'
import type { IsKept, Range, Store, StoreBatch } from './store.ts'
import type { WriteQueue } from './write-queue.ts'

/**
 * Removes the bytes of erased texts from the files of a store. The marks of objects, the entries and the rows are written
 * again: a table can have a text and the value that took its place, and only a later value makes LevelDB write that table
 * anew. What was stored again meanwhile is left alone. Resolves with false if something is left after some attempts.
 */
export async function purgeErased(
  store: Store,
  writes: WriteQueue,
  { digests, rows, seqs }: Erased,
  generation: number,
): Promise<boolean> {
  const isKept: IsKept = (key, value) => {
    const now = store.get(key)
    return now !== undefined && Buffer.compare(now, value) === 0
  }
  for (let attempts = 1; ; attempts += 1) {
    const marks = [...digests].filter((digest) => erasedAt(store, digest) !== undefined)
    const others = [...[...seqs].map(entryKey), ...[...rows].flatMap((stream) => rowKeys(stream, generation))]
    await store.flush()
    const keys = [...marks.map((digest) => objectKey(digest, 0)), ...others]
    for (let at = 0; at < keys.length; at += limits.erasedPerEntry) {
      const some = keys.slice(at, at + limits.erasedPerEntry)
      await writes.inTurn(() => storedAgain(store, some))
      await new Promise((resolve) => setTimeout(resolve, limits.purgeRestMillis))
    }
    const ranges: Range[] = [...marks.map(objectRange), ...others.map(rangeOf)]
    if (await store.rewrite(ranges.sort(byStart), isKept)) return true
    if (attempts === limits.purgeAttempts) return false
    await new Promise((resolve) => setTimeout(resolve, limits.purgePauseMillis))
  }
}

/** The keys of a row in all generations so far, and in the one that a rebuild fills next. */
function rowKeys(stream: string, generation: number): Uint8Array[] {
  return Array.from({ length: generation + 1 }, (_, at) => rowKey(at + 1, stream))
}

/** What is stored under the keys now, to be written again; a key without a value is deleted again. */
function storedAgain(store: Store, keys: readonly Uint8Array[]): StoreBatch {
  const batch: StoreBatch = { deletes: [], puts: [] }
  for (const key of keys) {
    const value = store.get(key)
    if (value === undefined) batch.deletes.push(key)
    else batch.puts.push({ key, value })
  }
  return batch
}

const byStart = (one: Range, other: Range) => Buffer.compare(one.gte, other.gte)
