import { decode, encode } from './codec.ts'
import { corrupt } from './corrupt.ts'
import { headKey } from './keys.ts'
import type { StoreBatch, StoreReader } from './store.ts'

/** How far each reactor has come, by its name. */
export type Cursors = Record<string, number>

/** Number of entries, their root, which generation of the views is in force, and the reactors' cursors. */
export interface Head {
  cursors: Cursors
  generation: number
  root: Uint8Array
  size: number
}

/** Adds the head row to a batch, which every batch does. */
export function putHead(batch: StoreBatch, head: Head): void {
  batch.puts.push({ key: headKey, value: encode(headKey, head) })
}

/** The head row; that its root is that of the entries, the open check and `verify` find out. Errors: LEDGER_CORRUPT. */
export function readHead(reader: StoreReader): Head {
  const value = reader.get(headKey)
  if (value === undefined) throw corrupt('the head row is missing', { check: 'head' })
  return decode<Head>(headKey, value)
}
