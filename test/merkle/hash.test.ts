import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  concatBytes,
  fromBase64,
  fromHex,
  isHash,
  leafHash,
  leafHashLater,
  nodeHash,
  nodeHashLater,
  sameBytes,
  toBase64,
  toHex,
} from '../../src/merkle/hash.ts'
import { randomBelow } from '../support/seed.ts'
import { bytesOf, fixture, hexOf, type Rfc6962, sha256, sha256Later } from './model.ts'

const test = suite('hash')
const vectors = fixture<Rfc6962>('merkle/rfc6962.json')
const random = randomBelow('hash')
const randomBytes = (length: number) => Uint8Array.from({ length }, () => random(256))

test('the reference leaves and nodes have the hashes of RFC 6962', async () => {
  for (const [seq, leaf] of vectors.leaves.entries()) {
    assert.is(hexOf(leafHash(bytesOf(leaf), sha256)), vectors.nodes[0]?.[seq])
    assert.is(hexOf(await leafHashLater(bytesOf(leaf), sha256Later)), vectors.nodes[0]?.[seq])
  }
  for (const [height, hashes] of vectors.nodes.slice(1).entries()) {
    for (const [index, hash] of hashes.entries()) {
      const left = bytesOf(vectors.nodes[height]?.[2 * index] ?? '')
      const right = bytesOf(vectors.nodes[height]?.[2 * index + 1] ?? '')
      assert.is(hexOf(nodeHash(left, right, sha256)), hash)
      assert.is(hexOf(await nodeHashLater(left, right, sha256Later)), hash)
    }
  }
})

test('leaves of any length, in any order, leave nothing behind in the reused buffer', () => {
  for (const length of [100_000, 0, 32_769, 1, 32_768, 32_767, 400, 3]) {
    const entry = randomBytes(length)
    const expected = createHash('sha256').update('\0').update(entry).digest('hex')
    assert.is(hexOf(leafHash(entry, sha256)), expected, `length ${length}`)
  }
})

test('a child that is not 32 bytes is refused', () => {
  const child = randomBytes(32)
  for (const length of [0, 31, 33]) {
    assert.throws(() => nodeHash(randomBytes(length), child, sha256), RangeError as never)
    assert.throws(() => nodeHash(child, randomBytes(length), sha256), RangeError as never)
  }
})

test('hex and base64 are those of Node, there and back', () => {
  for (let length = 0; length <= 100; length++) {
    const bytes = randomBytes(length)
    assert.is(toHex(bytes), Buffer.from(bytes).toString('hex'))
    assert.is(toBase64(bytes), Buffer.from(bytes).toString('base64'))
    assert.equal(fromHex(toHex(bytes)), bytes)
    assert.equal(fromBase64(toBase64(bytes)), bytes)
  }
})

test('hex in any other form is refused', () => {
  for (const text of ['a', 'AB', '0g', ' 00', '00\n', '0x00', '٠٠']) assert.is(fromHex(text), undefined, text)
})

test('base64 in any other form is refused', () => {
  const refused = [
    'A',
    'AA',
    'AAA',
    'AA=',
    'AA==\n',
    'A===',
    '====',
    'AAAA====',
    'AB==',
    'AAB=',
    'AA==AAAA',
    'AA-_',
    ' AAAA',
    'AAA ',
  ]
  for (const text of refused) assert.is(fromBase64(text), undefined, JSON.stringify(text))
})

test('bytes are a hash only if they are 32', () => {
  assert.ok(isHash(new Uint8Array(32)))
  assert.ok(isHash(Buffer.alloc(32)))
  for (const value of [new Uint8Array(31), new Uint8Array(33), 'a'.repeat(32), Array(32).fill(0), null, undefined]) {
    assert.not(isHash(value))
  }
})

test('byte strings are the same only if every byte is', () => {
  const bytes = randomBytes(32)
  assert.ok(sameBytes(bytes, Buffer.from(bytes)))
  assert.not(sameBytes(bytes, bytes.subarray(0, 31)))
  for (let at = 0; at < 32; at++) {
    const other = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte))
    assert.not(sameBytes(bytes, other))
  }
})

test('byte strings are joined in order', () => {
  assert.equal(concatBytes(), new Uint8Array(0))
  assert.equal(concatBytes([1], Uint8Array.of(2, 3), [], [4]), Uint8Array.of(1, 2, 3, 4))
})

test.run()
