import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { chainOfLock, walked } from './chains.ts'
import type { Core } from './core.ts'

/**
 * The newest `limit` entries of a lock, newest first. It needs no index and works for any age. Cost: one read per
 * entry.
 */
export async function historyOf(core: Core, name: string, limit: number = limits.historyPageMax): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of walked(core, chainOfLock(core, name))) {
    entries.push(entry)
    if (entries.length >= limit) break
  }
  return entries
}
