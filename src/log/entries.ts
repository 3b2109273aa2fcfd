import type { Entry } from '../core/entry.ts'
import { decodeEntry } from './codec.ts'
import { missing } from './corrupt.ts'
import * as keys from './keys.ts'
import type { StoreReader } from './store.ts'

/** Entries of a range in pages: dense, or LEDGER_CORRUPT naming the first that is missing. */
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
