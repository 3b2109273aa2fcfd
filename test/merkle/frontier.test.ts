import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  appendLeaf,
  appendLeaves,
  emptyFrontier,
  type Frontier,
  frontierFrom,
  rootOf,
} from '../../src/merkle/frontier.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { frontierAt } from '../../src/merkle/tiles.ts'
import { randomBelow } from '../support/seed.ts'
import {
  bytesOf,
  fixture,
  hexOf,
  leafAt,
  leavesTo,
  type Rfc6962,
  rangeRootOf,
  repeatingRoot,
  sha256,
  tilesOf,
} from './model.ts'

const test = suite('frontier')
const vectors = fixture<Rfc6962>('merkle/rfc6962.json')
const random = randomBelow('frontier')
const hexesOf = (frontier: Frontier) => ({ size: frontier.size, hashes: frontier.hashes.map(hexOf) })

function onesOf(size: number): number {
  return [...size.toString(2)].filter((bit) => bit === '1').length
}

test('the reference leaves have the roots of RFC 6962 at every size', () => {
  let frontier = emptyFrontier
  assert.is(hexOf(rootOf(frontier, sha256)), vectors.roots[0])
  for (const [seq, leaf] of vectors.leaves.entries()) {
    frontier = appendLeaf(frontier, leafHash(bytesOf(leaf), sha256), sha256)
    assert.is(hexOf(rootOf(frontier, sha256)), vectors.roots[seq + 1])
  }
})

test('every size up to 600 has the root of the recursive definition', () => {
  const rangeRoot = rangeRootOf(leavesTo(600))
  let frontier = emptyFrontier
  for (let size = 1; size <= 600; size++) {
    frontier = appendLeaf(frontier, leafAt(size - 1), sha256)
    assert.is(frontier.size, size)
    assert.is(frontier.hashes.length, onesOf(size))
    assert.is(hexOf(rootOf(frontier, sha256)), hexOf(rangeRoot(0, size)), `size ${size}`)
  }
})

test('larger sizes, too, have the root of the recursive definition', () => {
  const leaves = leavesTo(70_000)
  const rangeRoot = rangeRootOf(leaves)
  for (const size of [65_535, 65_536, 65_537, 601 + random(60_000), 601 + random(60_000)]) {
    const frontier = appendLeaves(emptyFrontier, leaves.slice(0, size), sha256)
    assert.is(hexOf(rootOf(frontier, sha256)), hexOf(rangeRoot(0, size)), `size ${size}`)
  }
})

test('leaves give the same frontier in batches of any size', () => {
  const leaves = leavesTo(2_000)
  const whole = appendLeaves(emptyFrontier, leaves, sha256)
  let frontier = emptyFrontier
  while (frontier.size < leaves.length) {
    frontier = appendLeaves(frontier, leaves.slice(frontier.size, frontier.size + random(100)), sha256)
  }
  assert.equal(hexesOf(frontier), hexesOf(whole))
})

test('a frontier is not changed by appending to it', () => {
  const frontier = appendLeaves(emptyFrontier, leavesTo(255), sha256)
  const before = hexesOf(frontier)
  appendLeaf(frontier, leafAt(255), sha256)
  assert.equal(hexesOf(frontier), before)
  assert.equal(emptyFrontier, { size: 0, hashes: [] })
})

test('appending n leaves costs n node hashes minus one for each one-bit of n', () => {
  for (const size of [1, 2, 3, 255, 256, 1_000]) {
    let count = 0
    appendLeaves(emptyFrontier, leavesTo(size), (bytes) => {
      count += 1
      return sha256(bytes)
    })
    assert.is(count, size - onesOf(size))
  }
})

test('each completed node is reported once, with its height and hash', () => {
  const rangeRoot = rangeRootOf(leavesTo(300))
  const told = new Map<number, string[]>()
  const start = appendLeaves(emptyFrontier, leavesTo(5), sha256)
  appendLeaves(start, leavesTo(300).slice(5), sha256, (height, hash) => {
    told.set(height, [...(told.get(height) ?? []), hexOf(hash)])
  })
  for (let height = 1; height <= 8; height++) {
    const width = 2 ** height
    const expected: string[] = []
    for (let end = width; end <= 300; end += width) if (end > 5) expected.push(hexOf(rangeRoot(end - width, end)))
    assert.equal(told.get(height), expected, `height ${height}`)
  }
  assert.is(told.size, 8)
})

test('sizes beyond 32 bits append as small ones do', () => {
  const rangeRoot = repeatingRoot()
  for (const size of [2 ** 31 - 1, 2 ** 32 - 1, 2 ** 32 + 255, 2 ** 40 - 1, 2 ** 52 + 12_345, 2 ** 53 - 2]) {
    const before = frontierAt(size, tilesOf(size, rangeRoot), sha256)
    const after = appendLeaf(before, leafAt(size % 256), sha256)
    assert.is(after.hashes.length, onesOf(size + 1))
    assert.is(hexOf(rootOf(after, sha256)), hexOf(rangeRoot(0, size + 1)), `size ${size}`)
  }
})

test('a tree of more than 2^53 - 1 leaves is refused', () => {
  const full = frontierFrom(Number.MAX_SAFE_INTEGER, Array(53).fill(leafAt(0)))
  assert.throws(() => appendLeaf(full, leafAt(1), sha256), /too large/)
})

test('a leaf hash that is not 32 bytes is refused at any place', () => {
  for (const size of [0, 1, 2]) {
    const frontier = appendLeaves(emptyFrontier, leavesTo(size), sha256)
    assert.throws(() => appendLeaf(frontier, new Uint8Array(31), sha256), new RegExp(`at seq ${size} is not 32`))
  }
})

test('a frontier that lacks hashes is refused where it would be used', () => {
  assert.throws(() => appendLeaf({ size: 3, hashes: [leafAt(0)] }, leafAt(3), sha256), /lacks hashes/)
})

test('a frontier from stored parts needs as many hashes as its size has one-bits', () => {
  const hashes = leavesTo(4)
  const accepted: [number, number][] = [
    [0, 0],
    [1, 1],
    [3, 2],
    [4, 1],
    [2 ** 52 + 7, 4],
  ]
  for (const [size, count] of accepted) {
    assert.is(frontierFrom(size, hashes.slice(0, count)).size, size)
    assert.throws(() => frontierFrom(size, leavesTo(count + 1)), /must have \d hashes of 32 bytes/)
    if (count > 0) assert.throws(() => frontierFrom(size, hashes.slice(1, count)), /hashes of 32 bytes/)
  }
  assert.throws(() => frontierFrom(1, [new Uint8Array(31)]), /hashes of 32 bytes/)
  for (const size of [-1, 0.5, 2 ** 53, Number.NaN])
    assert.throws(() => frontierFrom(size, []), /not a valid tree size/)
})

test.run()
