import { identitySeqs } from '../identity.ts'
import type { Meta } from '../log.ts'
import { decodeEntry } from './rows/codec.ts'
import { entryKey } from './rows/keys.ts'
import type { StoreReader } from './store.ts'

/** The names that a ledger has and had. Cost: a read for each name that it had. Errors: LEDGER_CORRUPT. */
export function originsIn(reader: Pick<StoreReader, 'get'>, meta: Meta): string[] {
  const former = identitySeqs(meta).slice(0, -1)
  const named = former.map((seq) => {
    const key = entryKey(seq)
    const value = reader.get(key)
    return value === undefined ? meta.origin : String(decodeEntry(key, value).data.origin)
  })
  return [meta.origin, ...named]
}
