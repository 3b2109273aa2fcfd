import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import type { Core } from '../../writer/core.ts'
import { chainOfLock, walked } from './chains.ts'

/**
 * The newest `limit` entries of a lock, newest first, and only entries before the seq `cursor`. It needs no index and
 * works for any age. Cost: one read per entry, skipped entries included.
 */
export async function historyOf(
  core: Core,
  name: string,
  {
    cursor = Number.POSITIVE_INFINITY,
    limit = limits.historyPageMax,
  }: { cursor?: number | undefined; limit?: number } = {},
): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of walked(core, await chainOfLock(core, name))) {
    if (entry.seq >= cursor) continue
    entries.push(entry)
    if (entries.length >= limit) break
  }
  return entries
}
