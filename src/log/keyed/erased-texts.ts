import { missing } from '../corrupt.ts'
import type { ErasedWrite } from '../erased.ts'
import type { ViewWrite } from '../log.ts'
import { decodeStored, encodeEntry } from './rows/codec.ts'
import { entryKey } from './rows/keys.ts'
import type { StoreBatch, StoreReader } from './store.ts'

/**
 * A batch, and what it writes of entries whose free texts are erased: the entries without these texts. They are made when
 * the batch has its turn, because the batch before can change what is stored of them. What is hashed of an entry keeps its
 * bytes. Errors: LEDGER_CORRUPT.
 */
export function withTextsErased(
  batch: StoreBatch,
  reader: StoreReader,
  writes: readonly (ErasedWrite | ViewWrite)[],
): StoreBatch | (() => StoreBatch) {
  const erased = writes.filter((write) => write.view === 'texts')
  if (erased.length === 0) return batch
  return () => {
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
}
