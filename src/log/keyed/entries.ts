import type { Entry } from '../../kernel/entry.ts'
import { missing } from '../corrupt.ts'
import { decodeEntry } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { StoreReader } from '../level/store.ts'

/** The entries of a range, in pages. Errors: LEDGER_CORRUPT with the first missing seq. */
export async function* entriesOf(reader: StoreReader, from: number, to: number): AsyncGenerator<Entry[]> {
  let seq = from
  for await (const page of reader.scan(keys.ranges.entries(from, to))) {
    yield page.map(([key, value]) => {
      if (keys.seqOfEntryKey(key) !== seq) throw missing(seq)
      seq += 1
      return decodeEntry(key, value)
    })
  }
  if (seq < to) throw missing(seq)
}
