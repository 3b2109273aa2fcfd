import { evolveRow, rowFrom, storedRow, textsInRow } from '../domain/aggregates.ts'
import { invariant } from '../errors.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { chainOfStream, walked } from './chains.ts'
import type { Views } from './views.ts'

/** The rows that hold texts of these entries, derived again with the entries as they will be. */
export async function rowsWithout(views: Views, erased: ReadonlyMap<number, Entry>): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>()
  for (const stream of new Set([...erased.values()].map((entry) => entry.stream))) {
    const kept = textsInRow(stream)
    if (kept !== undefined) rows.set(stream, await (kept === 'row' ? derived : restored)(views, stream, erased))
  }
  return rows
}

/** The row as its whole stream gives it. */
async function derived(views: Views, stream: string, erased: ReadonlyMap<number, Entry>): Promise<Row> {
  const entries: Entry[] = []
  for await (const entry of walked(views, await chainOfStream(views, stream))) {
    entries.push(erased.get(entry.seq) ?? entry)
  }
  const row = entries.reduceRight<Row | undefined>(evolveRow, undefined)
  invariant(row !== undefined, `${stream} has entries`)
  return row
}

/** The row as its stored form gives it, which names the entry that has the texts. */
async function restored(views: Views, stream: string, erased: ReadonlyMap<number, Entry>): Promise<Row> {
  const before = await views.row(stream)
  invariant(before !== undefined, `${stream} has a row`)
  const stored = storedRow(stream, before)
  const entryAt = (seq: number) => erased.get(seq) ?? views.loaded.entry(seq)
  const row = await views.untilLoaded(() => rowFrom(stream, stored, entryAt))
  invariant(row !== undefined, `the row of ${stream} can be restored`)
  return row
}
