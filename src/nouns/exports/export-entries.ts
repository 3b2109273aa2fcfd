import type { Selection } from '../../domain/approval/exported.ts'
import { streamOf as lockStreamOf } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import type { Key } from '../../log/log.ts'
import { type Chain, chainOfRun, chainOfStream, walked } from '../../views/chains.ts'
import { runsOf, seqsOf } from '../../views/index-search.ts'
import type { Core } from '../../writer/core.ts'
import { stateOfRun } from '../runs/run-status.ts'

/**
 * Pages of entries below a size, in order. They include every selected entry, and for some selections others too.
 * Errors: INVALID_INPUT (a range beyond the size), LIMIT_EXCEEDED. Cost: for a range, one read per entry; for a case,
 * the reads of the index. For a lock or a tree of runs, two reads per entry, and memory for the seqs.
 */
export async function* entriesToSelect(core: Core, selection: Selection, size: number): AsyncGenerator<Entry[]> {
  if ('from' in selection) {
    const { from, to } = selection
    if (to >= size)
      throw new LockstepError('INVALID_INPUT', `the range goes beyond size ${size}`, { details: { size } })
    yield* core.log.entries(from, to + 1)
    return
  }
  if ('lock' in selection) {
    yield* entriesAt(core, await seqsIn(core, [await chainOfStream(core.views, lockStreamOf(selection.lock))], size))
    return
  }
  await core.index.reached(size)
  if ('case_id' in selection) {
    for await (const seqs of seqsOf(core.log, selection, { from: 0, to: size })) yield* entriesAt(core, seqs)
    return
  }
  const runIds = await runsBelow(core, selection.run_id, size)
  const chains = await Promise.all(runIds.map((runId) => chainOfRun(core.views, runId)))
  yield* entriesAt(core, await seqsIn(core, chains, size))
}

/** A run and its descendants, as far as they were created below a size. Empty if the run was created later. */
async function runsBelow(core: Core, runId: string, size: number): Promise<string[]> {
  const { root_run_id } = await stateOfRun(core, runId)
  const below = new Set<string>()
  for await (const page of runsOf(core.log, { root_run_id }, { from: 0, to: size })) {
    for (const id of page) {
      const { parent_run_id } = await stateOfRun(core, id)
      if (id === runId || below.has(parent_run_id ?? '')) below.add(id)
    }
  }
  return [...below]
}

/** The seqs of all entries of some chains below a size, in order. */
async function seqsIn(core: Core, chains: readonly Chain[], size: number): Promise<number[]> {
  const seqs: number[] = []
  for (const chain of chains) {
    for await (const { seq } of walked(core.views, chain)) {
      if (seq < size) seqs.push(seq)
      if (seqs.length > limits.exportEntriesMax) {
        throw new LockstepError('LIMIT_EXCEEDED', `a bundle holds at most ${limits.exportEntriesMax} entries`)
      }
    }
  }
  return seqs.sort((one, other) => one - other)
}

async function* entriesAt({ log }: Core, seqs: readonly number[]): AsyncGenerator<Entry[]> {
  for (let at = 0; at < seqs.length; at += limits.readPageEntries) {
    const page = seqs.slice(at, at + limits.readPageEntries)
    yield (await log.load(page.map((key): Key => ({ view: 'entry', key })))) as Entry[]
  }
}
