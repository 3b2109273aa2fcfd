import type { Row } from '../../kernel/decider.ts'
import { putObject } from './objects.ts'
import { encode, seal } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import { encodeRow } from './rows/row.ts'
import type { StoreBatch } from '../level/store.ts'

/**
 * A change to data derived from entries. These changes are written in the same batch as the entries:
 * - the row of a stream;
 * - a block of receipts;
 * - a row of sovereign state, which undefined deletes;
 * - an object that an entry names;
 * - the deletion of a note about objects that wait for an entry.
 * An index row is written in a separate batch.
 */
export type ViewWrite =
  | { view: 'row'; key: string; value: Row }
  | { view: 'receipts'; key: number; value: Uint8Array | undefined }
  | { view: 'state'; key: string; value: unknown }
  | { view: 'object'; key: string; value: string }
  | { view: 'note'; key: number }
  | IndexWrite

export type ReceiptsWrite = Extract<ViewWrite, { view: 'receipts' }>

export interface IndexWrite {
  view: 'index'
  key: Uint8Array
  value: Uint8Array | undefined
}

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
