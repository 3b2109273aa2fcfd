import type { ViewWrite } from '../log.ts'
import { putObject } from './objects.ts'
import { encode, seal } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { StoreBatch } from './store.ts'

/** A batch that contains only changes of views. */
export function viewBatch(writes: readonly ViewWrite[], generation: number): StoreBatch {
  const batch: StoreBatch = { puts: [], deletes: [] }
  for (const write of writes) putView(batch, write, generation)
  return batch
}

export function putView(batch: StoreBatch, write: ViewWrite, generation: number): void {
  switch (write.view) {
    case 'row': {
      const key = keys.rowKey(generation, write.key)
      batch.puts.push({ key, value: encode(key, write.value) })
      return
    }
    case 'receipts': {
      const key = keys.receiptsKey(generation, write.key)
      if (write.value === undefined) batch.deletes.push(key)
      else batch.puts.push({ key, value: seal(key, write.value) })
      return
    }
    case 'index': {
      const key = keys.indexKey(generation, write.key)
      if (write.value === undefined) batch.deletes.push(key)
      else batch.puts.push({ key, value: seal(key, write.value) })
      return
    }
    case 'state': {
      const key = keys.stateKey(generation, write.key)
      if (write.value === undefined) batch.deletes.push(key)
      else batch.puts.push({ key, value: encode(key, write.value) })
      return
    }
    case 'object':
      putObject(batch, write.key, write.value)
      return
    case 'note':
      batch.deletes.push(keys.noteKey(write.key))
      return
  }
}
