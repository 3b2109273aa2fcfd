import { decode } from './codec.ts'
import type { Head } from './head-row.ts'
import { headKey, kindOf, metaKey, seqOfEntryKey } from './keys.ts'
import { EndsTooSoon, Numbers } from './numbers.ts'

// A record of LevelDB's write-ahead log is a batch of writes, as db/write_batch.cc of its sources describes it: the
// number of the first of its operations, how many there are, and the operations.

/** Number of the first operation (8 bytes) and count of operations (4 bytes). */
const headBytes = 12
const deletion = 0
const put = 1
/** One log holds a few megabytes, so the numbers in it are close to each other. */
const operationsMax = 2 ** 24

/** Number of a batch's first operation; it has 56 bits, of which doubles take 53. */
export function operationOf(batch: Buffer): number {
  return batch.length < headBytes ? -1 : batch.readUIntLE(0, 6)
}

/** Whether bytes may be a batch that was written after an operation: a text that looks like a log is not one. */
export function mayFollow(operation: number, batch: Buffer): boolean {
  const at = operationOf(batch)
  return at > operation && at - operation < operationsMax && batch[6] === 0 && batch[7] === 0
}

/** The value that a batch puts under the head row's key, if it does. */
export function headIn(batch: Buffer): Head | undefined {
  let head: Head | undefined
  for (const { key, value } of putsIn(batch)) if (key.equals(headKey)) head = decode<Head>(headKey, value)
  return head
}

/** Whether a batch puts the meta row, which is in the first batch of all. */
export function holdsMeta(batch: Buffer): boolean {
  for (const { key } of putsIn(batch)) if (key.equals(metaKey)) return true
  return false
}

/** The lowest seq of the entries in a batch, which may be damaged: as far as it can be read. */
export function firstSeqIn(batch: Buffer): number | undefined {
  const seqs: number[] = []
  for (const { key } of putsIn(batch)) if (key.length === 9 && kindOf(key) === 'entry') seqs.push(seqOfEntryKey(key))
  return seqs.length === 0 ? undefined : Math.min(...seqs)
}

function* putsIn(batch: Buffer): Generator<{ key: Buffer; value: Buffer }> {
  try {
    for (const numbers = new Numbers(batch.subarray(headBytes)); numbers.isLeft; ) {
      const operation = numbers.byte()
      const key = numbers.slice()
      if (operation === put) yield { key, value: numbers.slice() }
      else if (operation !== deletion) return
    }
  } catch (error) {
    if (!(error instanceof EndsTooSoon)) throw error
  }
}
