import { limits } from '../../kernel/limits.ts'
import { erasedAt, isMark, putMark } from './objects.ts'
import { objectRange } from './rows/keys.ts'
import type { Range, Store, StoreBatch } from './store.ts'
import type { WriteQueue } from './write-queue.ts'

/**
 * Removes the bytes of erased objects from the files of a store. The marks are written again: a table can have a text
 * and its first mark, and only a later value makes LevelDB write that table anew. What was stored again meanwhile is
 * left alone. Resolves with false if something is left after some attempts.
 */
export async function purgeObjects(store: Store, writes: WriteQueue, digests: readonly string[]): Promise<boolean> {
  for (let attempts = 1; ; attempts += 1) {
    const erased = digests.filter((digest) => erasedAt(store, digest) !== undefined)
    await store.flush()
    for (let at = 0; at < erased.length; at += limits.erasedPerEntry) {
      const some = erased.slice(at, at + limits.erasedPerEntry)
      await writes.inTurn(() => marksOf(store, some))
      await new Promise((resolve) => setTimeout(resolve, limits.purgeRestMillis))
    }
    const ranges = erased.map((digest): Range => objectRange(digest)).sort(byStart)
    if (await store.rewrite(ranges, isMark)) return true
    if (attempts === limits.purgeAttempts) return false
    await new Promise((resolve) => setTimeout(resolve, limits.purgePauseMillis))
  }
}

function marksOf(store: Store, digests: readonly string[]): StoreBatch {
  const batch: StoreBatch = { puts: [], deletes: [] }
  for (const digest of digests) {
    const seq = erasedAt(store, digest)
    if (seq !== undefined) putMark(batch, store, { digest, seq })
  }
  return batch
}

const byStart = (one: Range, other: Range) => Buffer.compare(one.gte, other.gte)
