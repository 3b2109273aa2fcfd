import { decode } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { StoreReader } from '../level/store.ts'

/** Rows of sovereign state whose names have this prefix, in the order of the names' UTF-8 bytes. */
export async function* stateRows(
  reader: StoreReader,
  generation: number,
  prefix: string,
): AsyncGenerator<[name: string, value: unknown]> {
  for await (const page of reader.scan(keys.ranges.state(generation, prefix))) {
    for (const [key, value] of page) yield [keys.nameOfRowKey(key), decode(key, value)]
  }
}
