import { ok } from 'node:assert/strict'
import type { Figure } from './figures.ts'

const tileEntries = 256

/** The number of writes, as counted by a ledger. */
interface Counts {
  batches: number
  entries: number
  puts: number
}

export function difference(after: Counts, before: Counts): Counts {
  return {
    batches: after.batches - before.batches,
    entries: after.entries - before.entries,
    puts: after.puts - before.puts,
  }
}

/**
 * Asserts the number of writes besides the entries: the given number of rows, and one head row for each batch. The only
 * other writes are tiles and receipts: one leaf tile and one block of receipts for 256 entries, and the tile above the
 * leaves once for each batch that fills a leaf tile. `size` is the size of the ledger afterwards.
 */
export function putsFigure(counts: Counts, { rows, size, what }: { rows: number; size: number; what: string }): Figure {
  const { batches, entries, puts } = counts
  const filled = Math.floor(size / tileEntries) - Math.floor((size - entries) / tileEntries)
  const others = puts - entries - rows - batches
  const higherTilesMax = filled + Math.ceil(filled / tileEntries)
  ok(
    others >= 2 * filled && others <= 2 * filled + higherTilesMax,
    `${puts} puts for ${entries} entries in ${batches} batches: ${others} beyond entries, rows and heads for ${filled} tiles`,
  )
  const note = `${puts} puts and ${batches} batches for ${entries} entries, ${(entries / batches).toFixed(1)} a batch`
  return { what, value: puts / entries, unit: 'puts', note }
}
