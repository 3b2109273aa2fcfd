import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { streamOf } from '../core/lock/names.ts'
import type { Core } from './core.ts'

/**
 * A lock's entries, newest first, by walking `prev.stream` back from its row: no index, for ever. Cost: one read an
 * entry.
 */
export async function historyOf(core: Core, name: string, limit: number = limits.historyPageMax): Promise<Entry[]> {
  const entries: Entry[] = []
  let seq = core.rows.get(streamOf(name))?.last_seq ?? null
  while (seq !== null && entries.length < limit) {
    const entry = core.log.entry(seq)
    if (entry === undefined) break
    entries.push(entry)
    seq = entry.prev.stream
    // Long histories are read in turns, so that the writer is not held up.
    if (entries.length % limits.readPageEntries === 0) await new Promise(setImmediate)
  }
  return entries
}
