import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { checkOpened } from '../../src/log/level/open/open-check.ts'
import type { TreeHeadFile } from '../../src/log/log.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { toHex } from '../../src/merkle/hash.ts'
import { rootAt } from '../../src/merkle/tiles.ts'
import { logOf, sampleEntries, sampleMeta } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { randomBelow } from '../support/seed.ts'

const check = suite('the open check')
const random = randomBelow('open check')
const size = 700
const everything = Number.MAX_SAFE_INTEGER
const { log: whole, store: sample } = await logOf(sampleEntries(size), { store: new MemoryStore() })

/** Checks a store as an open does; what it is refused with, or undefined. */
function refusalOf(
  store: MemoryStore,
  { logBytes = everything, headFile }: { logBytes?: number; headFile?: TreeHeadFile } = {},
): LockstepError | undefined {
  try {
    checkOpened(KeyedLog.open(store), store, { logBytes, headFile })
    return undefined
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    is(error.code, 'LEDGER_CORRUPT')
    return error
  }
}

const headAt = (at: number, members: Partial<TreeHeadFile> = {}): TreeHeadFile => ({
  origin: sampleMeta.origin,
  root: toHex(rootAt(at, whole.tiles, sha256)),
  size: at,
  ...members,
})

const bytesFrom = (seq: number) =>
  Array.from({ length: size - seq }, (_, at) => sample.get(keys.entryKey(seq + at))?.length ?? 0).reduce(
    (sum, bytes) => sum + bytes,
    0,
  )

check('finds nothing in a whole log', () => {
  for (const logBytes of [0, 1, 5_000, bytesFrom(0), everything]) {
    for (const headFile of [undefined, ...[0, 1, 255, 256, 257, 512, size].map((at) => headAt(at))]) {
      is(refusalOf(sample.copy(), { logBytes, ...(headFile && { headFile }) }), undefined)
    }
  }
})

check('finds any gap within the bytes of the write-ahead logs, and names the first', () => {
  for (let time = 0; time < 40; time += 1) {
    const store = sample.copy()
    // The last, partial tile is read when the log is opened; here it is about the entries before it.
    const gaps = Array.from({ length: 1 + random(3) }, () => random(512))
    for (const seq of gaps) store.delete(keys.entryKey(seq))
    is(refusalOf(store)?.details.seq, Math.min(...gaps))
  }
})

check('looks back over at least as many bytes as it is told, and no further', () => {
  for (const seq of [100, 300, 511]) {
    const store = sample.copy()
    store.delete(keys.entryKey(seq))
    const bytes = bytesFrom(seq + 1)
    is(refusalOf(store, { logBytes: bytes }), undefined, 'the entries from the next one on are enough')
    is(refusalOf(store, { logBytes: bytes + 1 })?.details.seq, seq, 'one byte more, and it is looked at')
  }
})

check('reads each entry that it looks at once', () => {
  const store = sample.copy()
  const log = KeyedLog.open(store)
  const reads: number[] = []
  const get = store.get.bind(store)
  store.get = (key) => {
    if (keys.kindOf(key) === 'entry') reads.push(keys.seqOfEntryKey(key))
    return get(key)
  }
  checkOpened(log, store, { logBytes: bytesFrom(600), headFile: headAt(500) })
  equal(
    reads,
    Array.from({ length: 100 }, (_, at) => size - 1 - at),
  )
})

check('finds an entry that differs from what was hashed although its bytes are whole', async () => {
  for (const seq of [0, 255, 256, 400]) {
    const entries = sampleEntries(size)
    const other = { ...entries[seq], data: { notes: 'something else' } } as Entry
    const { store: forged } = await logOf(entries.with(seq, other), { store: new MemoryStore() })
    const store = sample.copy()
    store.put(keys.entryKey(seq), forged.get(keys.entryKey(seq)) ?? Buffer.alloc(0))
    is(refusalOf(store)?.details.seq, seq)
  }
})

check('finds an entry whose bytes are damaged, or that stands under the seq of another', () => {
  const damaged = sample.copy()
  damaged.put(keys.entryKey(300), Buffer.from('nonsense'))
  is(refusalOf(damaged)?.details.seq, 300)
  const moved = sample.copy()
  moved.put(keys.entryKey(300), sample.get(keys.entryKey(301)) ?? Buffer.alloc(0))
  is(refusalOf(moved)?.details.seq, 300)
})

check('finds a missing or different tile', () => {
  for (const [level, index] of [
    [0, 0],
    [0, 1],
    [1, 0],
  ] as const) {
    const key = keys.tileKey(level, index)
    const missing = sample.copy()
    missing.delete(key)
    ok(refusalOf(missing) !== undefined, `tile ${level}/${index} is missing`)
    const other = sample.copy()
    other.put(key, sample.get(keys.tileKey(0, index === 0 ? 1 : 0)) ?? Buffer.alloc(0))
    ok(refusalOf(other) !== undefined, `tile ${level}/${index} is another`)
  }
})

check('finds a log that is shorter than its head row says', () => {
  for (const missing of [1, 2, 150, 188, 300]) {
    const store = sample.copy()
    for (let seq = size - missing; seq < size; seq += 1) store.delete(keys.entryKey(seq))
    ok(refusalOf(store) !== undefined, `${missing} missing at the end`)
  }
})

check('finds a database that is older than the head file, and reports both sizes', async () => {
  for (const at of [1, 256, 600, size - 1]) {
    const { store } = await logOf(sampleEntries(at), { store: new MemoryStore() })
    is(refusalOf(store), undefined, 'by itself it is whole')
    const error = refusalOf(store, { headFile: headAt(size) })
    equal([error?.details.head_size, error?.details.size, error?.details.seq], [size, at, at])
    ok(error?.hint?.includes('older copy'), error?.hint)
  }
})

check('accepts a database that is newer than the head file, by any distance', () => {
  for (const at of [0, 1, 256, 511, 600, size - 1]) is(refusalOf(sample.copy(), { headFile: headAt(at) }), undefined)
})

check('finds a database that diverged before it outgrew the head file', async () => {
  const entries = sampleEntries(size)
  const other = { ...entries[100], data: { notes: 'something else' } } as Entry
  const { store } = await logOf(entries.with(100, other), { store: new MemoryStore() })
  is(refusalOf(store), undefined, 'by itself it is whole')
  is(refusalOf(store, { headFile: headAt(100) }), undefined, 'so far it is the same')
  for (const at of [101, 256, 600, size]) is(refusalOf(store, { headFile: headAt(at) })?.details.check, 'head_file')
})

check('finds a head file of another ledger or with another root', () => {
  for (const members of [{ origin: 'lockstep.local/another' }, { root: 'ab'.repeat(32) }]) {
    for (const at of [1, size]) {
      is(refusalOf(sample.copy(), { headFile: headAt(at, members) })?.details.check, 'head_file')
    }
  }
})

check.run()
