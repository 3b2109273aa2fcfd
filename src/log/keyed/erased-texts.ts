import { missing } from '../corrupt.ts'
import type { ErasedWrite } from '../erased.ts'
import { decodeStored, encodeEntry } from './rows/codec.ts'
import { entryKey } from './rows/keys.ts'
import type { StoreBatch, StoreReader } from './store.ts'

export type ErasedTextWrite = Extract<ErasedWrite, { view: 'texts' }>

/**
 * The batch with the entries written again, without these free texts. It must be made when its turn comes: what is stored
 * of an entry may have been changed by the batch before. What is hashed of an entry keeps its bytes. Errors:
 * LEDGER_CORRUPT.
 */
export function erasingTexts(batch: StoreBatch, reader: StoreReader, erased: readonly ErasedTextWrite[]): StoreBatch {
  const puts = erased.map((write) => {
    const key = entryKey(write.key)
    const sealed = reader.get(key)
    if (sealed === undefined) throw missing(write.key)
    const { text, texts = [] } = decodeStored(key, sealed)
    const left = texts.map((each) => (write.value.includes(each.path) ? { path: each.path } : each))
    return { key, value: encodeEntry(key, { text, texts: left }).value }
  })
  return { ...batch, puts: [...batch.puts, ...puts] }
}
