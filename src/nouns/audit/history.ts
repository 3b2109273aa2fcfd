import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import type { Core } from '../../writer/core.ts'
import { chainOfLock, walked } from './chains.ts'

/**
 * The newest `limit` entries of a lock, newest first. It needs no index and works for any age. Cost: one read per
 * entry.
 */
export async function historyOf(core: Core, name: string, limit: number = limits.historyPageMax): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of walked(core, await chainOfLock(core, name))) {
    entries.push(entry)
    if (entries.length >= limit) break
  }
  return entries
}
