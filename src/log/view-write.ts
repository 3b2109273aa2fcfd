import type { Row } from '../core/decider.ts'
import { encode, seal } from './codec.ts'
import * as keys from './keys.ts'
import { putObject } from './objects.ts'
import { encodeRow } from './row.ts'
import type { StoreBatch } from './store.ts'

/**
 * A change to something derived from entries, in the same batch as they: the row of a stream, a block of receipts or a
 * row of sovereign state (undefined deletes it); an object that an entry names; a note that objects wait for an entry,
 * which is done with.
 */
export type ViewWrite =
  | { view: 'row'; key: string; value: Row }
  | { view: 'receipts'; key: number; value: Uint8Array | undefined }
  | { view: 'state'; key: string; value: unknown }
  | { view: 'object'; key: string; value: string }
  | { view: 'note'; key: number }

export type ReceiptsWrite = Extract<ViewWrite, { view: 'receipts' }>

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
