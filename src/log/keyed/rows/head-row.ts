import { corrupt } from '../../corrupt.ts'
import type { Head } from '../../log.ts'
import type { StoreBatch, StoreReader } from '../store.ts'
import { decode, encode } from './codec.ts'
import { headKey } from './keys.ts'

/** The head with the generation of the views in force. */
export interface StoredHead extends Head {
  generation: number
}

/** Adds the head row to a batch. Every append does this. */
export function putHead(batch: StoreBatch, head: StoredHead): void {
  batch.puts.push({ key: headKey, value: encode(headKey, head) })
}

/** Reads the head row. The open check and `verify` compare its root with the entries. Errors: LEDGER_CORRUPT. */
export function readHead(reader: StoreReader): StoredHead {
  const value = reader.get(headKey)
  if (value === undefined) throw corrupt('the head row is missing', { check: 'head' })
  return decode<StoredHead>(headKey, value)
}
