import * as keys from './keys.ts'
import type { StoreBatch, StoreReader } from './store.ts'

const deletesPerBatch = 8_192

/** Deletes every derived row of a generation, some at a time. */
export async function clearGeneration(
  reader: StoreReader,
  generation: number,
  write: (batch: StoreBatch) => Promise<void>,
): Promise<void> {
  for (const range of keys.ranges.generation(generation)) {
    let deletes: Uint8Array[] = []
    for await (const page of reader.scan(range)) {
      for (const [key] of page) deletes.push(key)
      if (deletes.length < deletesPerBatch) continue
      await write({ puts: [], deletes })
      deletes = []
    }
    if (deletes.length > 0) await write({ puts: [], deletes })
  }
}
