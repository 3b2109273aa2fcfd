import { streamOf as lockStreamOf } from '../../domain/lock/names.ts'
import { streamOf as runStreamOf } from '../../domain/run/state.ts'
import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import type { Core } from '../../writer/core.ts'

/** A history that needs no index: the row has the last entry, and each entry points to the previous one. */
export interface Chain {
  last: number | null
  before: (entry: Entry) => number | null
}

export async function chainOfRun(core: Core, runId: string): Promise<Chain> {
  return { last: (await core.views.row(runStreamOf(runId)))?.last_seq ?? null, before: ({ prev }) => prev.run ?? null }
}

export function chainOfLock(core: Core, name: string): Promise<Chain> {
  return chainOfStream(core, lockStreamOf(name))
}

export async function chainOfStream(core: Core, stream: string): Promise<Chain> {
  return { last: (await core.views.row(stream))?.last_seq ?? null, before: ({ prev }) => prev.stream }
}

/** Yields the entries of a chain from its end back to seq `from`. Cost: one read per entry. */
export async function* walked(core: Core, { before, last }: Chain, from = 0): AsyncGenerator<Entry> {
  let read = 0
  for (let seq = last; seq !== null && seq >= from; ) {
    const entry = await core.views.entry(seq)
    if (entry === undefined) return
    yield entry
    read += 1
    seq = before(entry)
    // Long histories are read in steps, so that the writer is not held up.
    if (read % limits.readPageEntries === 0) await new Promise(setImmediate)
  }
}
