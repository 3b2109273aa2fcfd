import { evolveRow } from '../domain/aggregates.ts'
import { invariant } from '../errors.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Loaded } from '../views/loaded.ts'

type Ground = Pick<Loaded, 'entry' | 'row'>

/**
 * Rows that were derived up to some entry, with the entries of their streams since then. Throws `notLoaded` if one of
 * these is not in memory.
 */
export function continuedRows(rows: ReadonlyMap<string, Row>, plan: Ground): ReadonlyMap<string, Row> {
  return new Map([...rows].map(([stream, row]) => [stream, continued(row, plan.row(stream), plan)]))
}

function continued(row: Row, now: Row | undefined, plan: Ground): Row {
  const since: Entry[] = []
  for (let seq = now?.last_seq ?? null; seq !== null && seq > row.last_seq; ) {
    const entry = plan.entry(seq)
    invariant(entry !== undefined, `a row names the entry ${seq}`)
    since.push(entry)
    seq = entry.prev.stream
  }
  return since.reduceRight(evolveRow, row)
}
