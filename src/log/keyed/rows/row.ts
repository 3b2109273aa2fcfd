import { rowFrom, storedRow } from '../../../domain/aggregates.ts'
import type { Row } from '../../../kernel/decider.ts'
import type { Entry } from '../../../kernel/entry.ts'
import { corrupt } from '../../corrupt.ts'
import { decode, encode } from './codec.ts'

/** Encodes the row of a stream under its key. */
export function encodeRow(key: Uint8Array, stream: string, row: Row): Uint8Array {
  return encode(key, storedRow(stream, row))
}

/**
 * Decodes the row of a stream. Values that the row does not store are read from the entries it names.
 * Errors: LEDGER_CORRUPT.
 */
export function decodeRow(
  key: Uint8Array,
  stream: string,
  sealed: Uint8Array,
  entryAt: (seq: number) => Entry | undefined,
): Row {
  const row = rowFrom(stream, decode<Row>(key, sealed), entryAt)
  if (row === undefined)
    throw corrupt(`the row of ${stream} names an entry of another stream`, { check: 'rows', stream })
  return row
}
