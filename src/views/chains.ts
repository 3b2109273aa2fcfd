import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { streamOfRun } from '../kernel/run-fact.ts'
import type { Views } from './views.ts'

/** A history that needs no index: the row has the last entry, and each entry points to the previous one. */
export interface Chain {
  last: number | null
  before: (entry: Entry) => number | null
}

/** All entries of a run, in whichever stream they are. */
export async function chainOfRun(views: Views, runId: string): Promise<Chain> {
  return { last: (await views.row(streamOfRun(runId)))?.last_seq ?? null, before: ({ prev }) => prev.run ?? null }
}

export async function chainOfStream(views: Views, stream: string): Promise<Chain> {
  return { last: (await views.row(stream))?.last_seq ?? null, before: ({ prev }) => prev.stream }
}

/** Yields the entries of a chain from its end back to seq `from`. Cost: one read per entry. */
export async function* walked(views: Views, { before, last }: Chain, from = 0): AsyncGenerator<Entry, undefined> {
  let read = 0
  for (let seq = last; seq !== null && seq >= from; ) {
    const entry = await views.entry(seq)
    if (entry === undefined) return
    yield entry
    read += 1
    seq = before(entry)
    // Long histories are read in steps, so that the writer is not held up.
    if (read % limits.readPageEntries === 0) await new Promise(setImmediate)
  }
}
