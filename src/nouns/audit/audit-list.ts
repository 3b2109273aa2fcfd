import type * as z from 'zod'
import type { AuditEvent } from '../../domain/audit/audit-event.ts'
import type { listAuditSchema } from '../../domain/audit/audit-filters.ts'
import { streamOf as lockStreamOf } from '../../domain/lock/names.ts'
import { renderedEvent } from '../../domain/rendered-event.ts'
import type { Entry } from '../../kernel/entry.ts'
import { type Chain, chainOfRun, chainOfStream, walked } from '../../views/chains.ts'
import { seqsOf } from '../../views/index-search.ts'
import type { Core } from '../../writer/core.ts'
import { isWithin, rangesOf, type SeqRange, type TimeRanges } from './time-range.ts'

type ParsedListAudit = z.output<typeof listAuditSchema>

/** One page. `complete` is true if it reaches the end of the ledger, or the end of the requested time range. */
interface Page {
  events: Found[]
  next: number
  complete: boolean
}

interface Found {
  entry: Entry
  event: AuditEvent
}

/**
 * The matching entries with their rendered events. Cost: about 20 reads to find a time range, then one read per
 * entry. With a run, lock or stream, every entry of its chain is read from the end back to the cursor. Otherwise only
 * matching entries are read, which the index lists once it has reached the end of the ledger.
 */
export async function listEntries(core: Core, asked: ParsedListAudit): Promise<Page> {
  const { size } = core.log.head()
  const all = await rangesOf(core, asked, size)
  const end = Math.max(asked.cursor, all.end)
  const ranges = all.ranges.map(([from, to]) => [Math.max(from, asked.cursor), to] as const)
  const chain = await chainOf(core, asked)
  return chain === undefined ? searched(core, asked, { ranges, end }) : chained(core, asked, { chain, ranges, end })
}

async function searched(core: Core, asked: ParsedListAudit, { ranges, end }: TimeRanges): Promise<Page> {
  const events: Found[] = []
  for (const range of ranges) {
    if (range[0] >= range[1]) continue
    for await (const seqs of candidatesOf(core, asked, range)) {
      for (const seq of seqs) {
        const entry = await core.views.entry(seq)
        const event = entry && renderedEvent(entry)
        if (entry === undefined || event === undefined || !fits(entry, event, asked)) continue
        if (events.length === asked.limit) return { events, next: seq, complete: false }
        events.push({ entry, event })
      }
      // Let other callers run between two steps.
      await new Promise(setImmediate)
    }
  }
  return { events, next: end, complete: true }
}

/**
 * Yields candidate seqs; every matching entry is among them. A filter by time alone does not use the index, because
 * nearly every entry in the range matches.
 */
async function* candidatesOf(
  { index, log }: Core,
  { action_type, actor_id, case_id, limit, outcome, type }: ParsedListAudit,
  [from, to]: SeqRange,
): AsyncGenerator<number[]> {
  const words = { action_type, actor_id, case_id, outcome, type }
  if (Object.values(words).every((word) => word === undefined)) {
    for (let start = from; start < to; start += limit + 1) {
      yield Array.from({ length: Math.min(to - start, limit + 1) }, (_, at) => start + at)
    }
    return
  }
  await index.reached(to)
  yield* seqsOf(log, words, { from, to })
}

/**
 * The chain of the requested run, stream or lock, if there is one. The row has its last entry; each entry points to
 * the one before.
 */
async function chainOf(core: Core, { lock, run_id, stream }: ParsedListAudit): Promise<Chain | undefined> {
  if (run_id !== undefined) return chainOfRun(core.views, run_id)
  if (stream !== undefined) return chainOfStream(core.views, stream)
  return lock === undefined ? undefined : chainOfStream(core.views, lockStreamOf(lock))
}

/** Walks the chain from its end and keeps the oldest matches, one more than the page holds. */
async function chained(
  core: Core,
  asked: ParsedListAudit,
  { chain, end, ranges }: TimeRanges & { chain: Chain },
): Promise<Page> {
  const found: Found[] = []
  const [first] = ranges
  if (first === undefined) return { events: [], next: end, complete: true }
  for await (const entry of walked(core.views, chain, first[0])) {
    const event = renderedEvent(entry)
    if (entry.seq < end && fits(entry, event, asked)) found.push({ entry, event })
    if (found.length > asked.limit + 1) found.shift()
  }
  const oldest = found.reverse()
  const next = oldest[asked.limit]?.entry.seq
  return { events: oldest.slice(0, asked.limit), next: next ?? end, complete: next === undefined }
}

function fits(entry: Entry, event: AuditEvent, asked: ParsedListAudit): boolean {
  const { action_type, actor_id, case_id, lock, outcome, run_id, stream, type } = asked
  return (
    isWithin(entry, asked) &&
    (run_id ?? entry.run_id) === entry.run_id &&
    (lock === undefined || entry.stream === lockStreamOf(lock)) &&
    (stream ?? entry.stream) === entry.stream &&
    (case_id ?? event.case_id) === event.case_id &&
    (actor_id ?? entry.actor.actor_id) === entry.actor.actor_id &&
    (type ?? entry.type) === entry.type &&
    (action_type ?? event.action_type) === event.action_type &&
    (outcome ?? event.outcome) === event.outcome
  )
}
