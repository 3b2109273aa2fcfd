import { decode } from '../../keyed/rows/codec.ts'
import type { StoredHead } from '../../keyed/rows/head-row.ts'
import { headKey, kindOf, metaKey, seqOfEntryKey } from '../../keyed/rows/keys.ts'
import { EndsTooSoon, Numbers } from '../../keyed/rows/numbers.ts'

// Each record in LevelDB's write-ahead log is a batch of writes. LevelDB's source file db/write_batch.cc describes its
// layout: the number of the first operation, the count of operations, and the operations.

/** The number of the first operation (8 bytes) and the count of operations (4 bytes). */
const headBytes = 12
const deletion = 0
const put = 1
/** A log holds only a few megabytes, so the operation numbers in it are close together. */
const operationsMax = 2 ** 24

/**
 * The number of a batch's first operation. It has 56 bits; only the low 48 bits are read, which a double holds exactly.
 */
export function operationOf(batch: Buffer): number {
  return batch.length < headBytes ? -1 : batch.readUIntLE(0, 6)
}

/**
 * Whether these bytes may be a batch that was written after the given operation. Text that only resembles a batch fails
 * this test.
 */
export function mayFollow(operation: number, batch: Buffer): boolean {
  const at = operationOf(batch)
  return at > operation && at - operation < operationsMax && batch[6] === 0 && batch[7] === 0
}

/** The head row that the batch writes, or undefined if it writes none. */
export function headIn(batch: Buffer): StoredHead | undefined {
  let head: StoredHead | undefined
  for (const { key, value } of putsIn(batch)) if (key.equals(headKey)) head = decode<StoredHead>(headKey, value)
  return head
}

/** Whether this is the first batch of a ledger: it puts the meta row and an empty head. */
export function isBeginning(batch: Buffer): boolean {
  const holdsMeta = [...putsIn(batch)].some(({ key }) => key.equals(metaKey))
  return holdsMeta && headIn(batch)?.size === 0
}

/** The lowest entry seq in a batch. If the batch is damaged, only its readable part counts. */
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
