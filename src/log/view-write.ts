import type { Row } from '../core/decider.ts'
import { seal } from './codec.ts'
import * as keys from './keys.ts'
import { encodeRow } from './row.ts'
import type { StoreBatch } from './store.ts'

/**
 * A change to something derived from entries: the row of a stream or a block of receipts, in the same batch as they; a
 * row of the index, in a batch of its own (`Log.derive`). Undefined deletes it.
 */
export type ViewWrite =
  | { view: 'row'; key: string; value: Row }
  | { view: 'receipts'; key: number; value: Uint8Array | undefined }
  | IndexWrite

export interface IndexWrite {
  view: 'index'
  key: Uint8Array
  value: Uint8Array | undefined
}

/** Changes of views alone, as one batch. */
export function viewBatch(writes: readonly ViewWrite[], generation: number): StoreBatch {
  const batch: StoreBatch = { puts: [], deletes: [] }
  for (const write of writes) putView(batch, write, generation)
  return batch
}

export function putView(batch: StoreBatch, write: ViewWrite, generation: number): void {
  switch (write.view) {
    case 'row': {
      const key = keys.rowKey(generation, write.key)
      batch.puts.push({ key, value: encodeRow(key, write.key, write.value) })
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
  }
}
