import { corrupt } from '../../corrupt.ts'
import type { StoreBatch, StoreReader } from '../../level/store.ts'
import { decode, encode } from './codec.ts'
import { headKey } from './keys.ts'

/** The next seq for each reactor, by reactor name. */
export type Cursors = Record<string, number>

/** The number of entries, their root, the generation of the views in force, and the reactors' cursors. */
export interface Head {
  cursors: Cursors
  generation: number
  root: Uint8Array
  size: number
}

/** Adds the head row to a batch. Every append does this. */
export function putHead(batch: StoreBatch, head: Head): void {
  batch.puts.push({ key: headKey, value: encode(headKey, head) })
}

/** Reads the head row. The open check and `verify` compare its root with the entries. Errors: LEDGER_CORRUPT. */
export function readHead(reader: StoreReader): Head {
  const value = reader.get(headKey)
  if (value === undefined) throw corrupt('the head row is missing', { check: 'head' })
  return decode<Head>(headKey, value)
}
