import { evolveRow } from '../domain/aggregates.ts'
import { invariant } from '../errors.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'

/** A row that was derived up to some entry, with the entries of its stream since then, of which `last` is the newest. */
export function continuedRow(row: Row, last: number | null, entryAt: (seq: number) => Entry | undefined): Row {
  const since: Entry[] = []
  for (let seq = last; seq !== null && seq > row.last_seq; ) {
    const entry = entryAt(seq)
    invariant(entry !== undefined, `a row names the entry ${seq}`)
    since.push(entry)
    seq = entry.prev.stream
  }
  return since.reduceRight(evolveRow, row)
}
