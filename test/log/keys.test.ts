import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { randomBelow } from '../support/seed.ts'

const order = suite('keys')
const random = randomBelow('keys')
const numbers = [0, 1, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 1, 2 ** 48 - 1]
const streams = [
  'a',
  'a\u0001',
  'aa',
  'audit',
  'lock/resource:x',
  'lock/resource:x2',
  'ledger',
  'z',
  'é',
  'ü',
  '€',
  '😀',
  '\uffff',
]

order('stand in the order of their numbers', () => {
  for (const keyOf of [keys.entryKey, (at: number) => keys.tileKey(3, at), (at: number) => keys.receiptsKey(9, at)]) {
    const sorted = shuffled(numbers).map(keyOf).sort(Buffer.compare)
    equal(sorted.map(hex), numbers.map(keyOf).map(hex))
  }
})

order('of entries give their seq back', () => {
  for (const seq of numbers) is(keys.seqOfEntryKey(keys.entryKey(seq)), seq)
})

order('of rows give their stream back and stand in the order of its UTF-8 bytes', () => {
  const byBytes = [...streams].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
  const sorted = shuffled(streams)
    .map((stream) => keys.rowKey(1, stream))
    .sort(Buffer.compare)
  equal(sorted.map(keys.nameOfRowKey), byBytes)
})

order('of all kinds differ, and each is known for what it is', () => {
  const all = [
    ['entry', keys.entryKey(5)],
    ['head', keys.headKey],
    ['meta', keys.metaKey],
    ['receipts', keys.receiptsKey(1, 5)],
    ['row', keys.rowKey(1, 'a')],
    ['tile', keys.tileKey(1, 5)],
  ] as const
  is(new Set(all.map(([, key]) => hex(key))).size, all.length)
  for (const [kind, key] of all) is(keys.kindOf(key), kind)
})

order('that are none of ours are known for that', () => {
  const tooLong = (key: Buffer) => Buffer.concat([key, Buffer.of(0)])
  const strays = [
    Buffer.from('x'),
    Buffer.from('hello'),
    tooLong(keys.metaKey),
    tooLong(keys.entryKey(1)),
    keys.entryKey(1).subarray(0, 8),
    tooLong(keys.tileKey(0, 1)),
    keys.receiptsKey(1, 1).subarray(0, 9),
    Buffer.of(0x72, 1),
    Buffer.of(0x65, 1, 0, 0, 0, 0, 0, 0, 1),
    Buffer.of(0x65, 0, 1, 0, 0, 0, 0, 0, 1),
  ]
  for (const stray of strays) is(keys.kindOf(stray), undefined, hex(stray))
})

order('of a range of entries are those from the first to before the last', () => {
  const { gte, lt } = keys.ranges.entries(256, 65_536)
  const within = numbers.filter((seq) => isIn(keys.entryKey(seq), gte, lt))
  equal(within, [256, 65_535])
})

order('of the rows of a prefix are those whose stream begins with it', () => {
  for (const prefix of ['', 'a', 'lock/', 'lock/resource:x', 'é', '\uffff']) {
    const { gte, lt } = keys.ranges.rows(7, prefix)
    for (const stream of streams) {
      is(isIn(keys.rowKey(7, stream), gte, lt), stream.startsWith(prefix), `${prefix} ${stream}`)
      ok(!isIn(keys.rowKey(6, stream), gte, lt) && !isIn(keys.rowKey(8, stream), gte, lt))
    }
  }
})

order('of a generation are its rows and receipts and nobody else’s', () => {
  for (const generation of [1, 2, 250]) {
    const isInside = (key: Buffer) => keys.ranges.generation(generation).some(({ gte, lt }) => isIn(key, gte, lt))
    ok(isInside(keys.rowKey(generation, '\uffff')) && isInside(keys.receiptsKey(generation, 2 ** 48 - 1)))
    for (const other of [generation - 1, generation + 1]) {
      ok(!isInside(keys.rowKey(other, 'a')) && !isInside(keys.receiptsKey(other, 0)))
    }
    ok(!isInside(keys.entryKey(0)) && !isInside(keys.tileKey(0, 0)) && !isInside(keys.metaKey))
  }
})

order('of the whole store are all there can be, strays too', () => {
  const { gte, lt } = keys.ranges.all
  for (const key of [Buffer.of(0), keys.entryKey(2 ** 48 - 1), keys.tileKey(9, 1), Buffer.of(0xff, 0xff, 0x01)]) {
    ok(isIn(key, gte, lt), hex(key))
  }
})

order.run()

function isIn(key: Uint8Array, gte: Uint8Array, lt: Uint8Array): boolean {
  return Buffer.compare(key, gte) >= 0 && Buffer.compare(key, lt) < 0
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: random(2 ** 30) }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item)
}
