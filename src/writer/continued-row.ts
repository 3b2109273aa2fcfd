import { evolveRow } from '../domain/aggregates.ts'
import { invariant } from '../errors.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Loaded } from '../views/loaded.ts'

/** A row that was derived up to some entry, with the entries of its stream since then. `now` is the row as it is. */
export function continuedRow(row: Row, now: Row | undefined, entries: Pick<Loaded, 'entry'>): Row {
  const since: Entry[] = []
  for (let seq = now?.last_seq ?? null; seq !== null && seq > row.last_seq; ) {
    const entry = entries.entry(seq)
    invariant(entry !== undefined, `a row names the entry ${seq}`)
    since.push(entry)
    seq = entry.prev.stream
  }
  return since.reduceRight(evolveRow, row)
}
