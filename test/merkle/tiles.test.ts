import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { appendLeaves, emptyFrontier } from '../../src/merkle/frontier.ts'
import {
  emptyTree,
  frontierAt,
  growTree,
  nodeHashAt,
  parseTilePath,
  readerOf,
  rootAt,
  subtreeRoot,
  type Tree,
  tilePath,
} from '../../src/merkle/tiles.ts'
import { randomBelow } from '../support/seed.ts'
import {
  bytesOf,
  fixture,
  hexOf,
  leavesTo,
  type Rfc6962,
  rangeRootOf,
  repeatingRoot,
  sha256,
  tileStore,
  tilesOf,
} from './model.ts'

const test = suite('tiles')
const vectors = fixture<Rfc6962>('merkle/rfc6962.json')
const random = randomBelow('tiles')

/** A tree grown in batches, and the store that holds its tiles. */
function grownTo(size: number, batchMax: number) {
  const leaves = leavesTo(size)
  const store = tileStore()
  let tree: Tree = emptyTree
  while (tree.frontier.size < size) {
    const from = tree.frontier.size
    const growth = growTree(tree, leaves.slice(from, from + 1 + random(batchMax)), store, sha256)
    store.put(growth.tiles)
    tree = growth.tree
  }
  return { tree, store, leaves }
}

test('after every batch the stored tiles and the partial tile match the definition', () => {
  const leaves = leavesTo(3_000)
  const rangeRoot = rangeRootOf(leaves)
  const store = tileStore()
  let tree: Tree = emptyTree
  while (tree.frontier.size < leaves.length) {
    const from = tree.frontier.size
    const growth = growTree(tree, leaves.slice(from, from + 1 + random(700)), store, sha256)
    store.put(growth.tiles)
    tree = growth.tree
    const { size } = tree.frontier
    const expected = tilesOf(size, rangeRoot)
    const reader = readerOf(tree, store)
    for (let level = 0; level <= 2; level++) {
      for (let index = 0; index <= 12; index++) {
        const [found, wanted] = [reader.tile(level, index), expected.tile(level, index)]
        assert.is(hexOf(found ?? bytesOf('')), hexOf(wanted ?? bytesOf('')), `${tilePath(level, index)} at ${size}`)
      }
    }
  }
})

test('level 0 is stored when full, higher levels whenever they grow, and nothing else', () => {
  const { store } = grownTo(1_100, 1)
  const puts = store.puts.map(({ level, index, hashes }) => `${tilePath(level, index)} ${hashes.length / 32}`)
  assert.equal(puts, [
    ...['tile/0/000 256', 'tile/1/000 1', 'tile/0/001 256', 'tile/1/000 2'],
    ...['tile/0/002 256', 'tile/1/000 3', 'tile/0/003 256', 'tile/1/000 4'],
  ])
})

test('a batch over several tiles stores each tile only in its last form', () => {
  const { tiles } = growTree(emptyTree, leavesTo(1_100), tileStore(), sha256)
  const puts = tiles.map(({ level, index, hashes }) => `${tilePath(level, index)} ${hashes.length / 32}`)
  assert.equal(puts, ['tile/0/000 256', 'tile/0/001 256', 'tile/0/002 256', 'tile/0/003 256', 'tile/1/000 4'])
})

test('a tree of 70,000 leaves has the tiles of the example in C2SP tlog-tiles', () => {
  const { tree, store } = grownTo(70_000, 5_000)
  const widths = new Map(store.puts.map(({ level, index, hashes }) => [`${level}/${index}`, hashes.length / 32]))
  const fullAt = (level: number) =>
    [...widths].filter(([name, width]) => name.startsWith(`${level}/`) && width === 256).length
  assert.is(fullAt(0), 273)
  assert.is(fullAt(1), 1)
  assert.is(widths.get('1/1'), 17)
  assert.is(widths.get('2/0'), 1)
  assert.is(widths.size, 276)
  assert.is(tree.partial.length, 112)
  assert.is(hexOf(rootAt(70_000, readerOf(tree, store), sha256)), hexOf(rangeRootOf(leavesTo(70_000))(0, 70_000)))
})

test('growing gives the same frontier as appending, and hashes no node twice', () => {
  const leaves = leavesTo(2_000)
  let count = 0
  const counting = (bytes: Uint8Array) => {
    count += 1
    return sha256(bytes)
  }
  const appended = appendLeaves(emptyFrontier, leaves, counting)
  const appendCount = count
  const grown = growTree(emptyTree, leaves, tileStore(), counting)
  assert.equal(grown.tree.frontier.hashes.map(hexOf), appended.hashes.map(hexOf))
  assert.is(count - appendCount, appendCount)
  assert.ok(appendCount > 1_900)
})

test('a tree is not changed by growing it', () => {
  const { tree, store } = grownTo(300, 300)
  const before = { frontier: tree.frontier.hashes.map(hexOf), partial: tree.partial.map(hexOf) }
  growTree(tree, leavesTo(500).slice(300), store, sha256)
  assert.equal({ frontier: tree.frontier.hashes.map(hexOf), partial: tree.partial.map(hexOf) }, before)
  assert.equal(emptyTree, { frontier: { size: 0, hashes: [] }, partial: [] })
})

test('roots and frontiers of every earlier size can be read from the tiles', () => {
  const { tree, store, leaves } = grownTo(2_000, 900)
  const rangeRoot = rangeRootOf(leaves)
  const reader = readerOf(tree, store)
  assert.is(hexOf(rootAt(0, reader, sha256)), vectors.roots[0])
  for (const size of [
    1,
    255,
    256,
    257,
    511,
    512,
    513,
    1_792,
    2_000,
    ...Array.from({ length: 50 }, () => 1 + random(2_000)),
  ]) {
    assert.is(hexOf(rootAt(size, reader, sha256)), hexOf(rangeRoot(0, size)), `size ${size}`)
    const frontier = appendLeaves(emptyFrontier, leaves.slice(0, size), sha256)
    assert.equal(frontierAt(size, reader, sha256).hashes.map(hexOf), frontier.hashes.map(hexOf))
  }
})

test('every node over the reference leaves is read at its place', () => {
  const tile = new Uint8Array(Buffer.concat((vectors.nodes[0] ?? []).map(bytesOf)))
  const reader = { tile: (level: number, index: number) => (level === 0 && index === 0 ? tile : undefined) }
  for (const [height, hashes] of vectors.nodes.entries()) {
    for (const [index, hash] of hashes.entries()) assert.is(hexOf(nodeHashAt(height, index, reader, sha256)), hash)
  }
})

test('nodes of trees beyond 32 bits are read at their place', () => {
  const rangeRoot = repeatingRoot()
  for (const size of [2 ** 31 + 5, 2 ** 45 + 300, 2 ** 53 - 1]) {
    assert.is(hexOf(rootAt(size, tilesOf(size, rangeRoot), sha256)), hexOf(rangeRoot(0, size)), `size ${size}`)
  }
})

test('a size beyond the tiles names the missing tile', () => {
  const { tree, store } = grownTo(600, 600)
  const reader = readerOf(tree, store)
  assert.throws(() => rootAt(601, reader, sha256), /tile\/0\/002 lacks hash 88/)
  assert.throws(() => rootAt(768, reader, sha256), /tile\/0\/002 lacks hash 127|tile\/1\/000 lacks hash 2/)
  assert.throws(() => rootAt(600, store, sha256), /tile\/0\/002 lacks hash 63/)
  for (const size of [-1, 1.5, 2 ** 53]) assert.throws(() => rootAt(size, reader, sha256), /not a valid tree size/)
})

test('a tree grows only on the partial tile and the stored tiles of its own size', () => {
  const { tree, store } = grownTo(600, 600)
  const more = leavesTo(800).slice(600)
  const shorter = { ...tree, partial: tree.partial.slice(1) }
  assert.throws(() => growTree(shorter, more, store, sha256), /partial tile does not fit/)
  assert.throws(() => growTree(tree, more, tileStore(), sha256), /tile\/1\/000 is 0 bytes instead of 2 hashes/)
  const later = tileStore()
  later.put([{ level: 1, index: 0, hashes: new Uint8Array(3 * 32) }])
  assert.throws(() => growTree(tree, more, later, sha256), /tile\/1\/000 is 96 bytes instead of 2 hashes/)
})

test('only a power of two of hashes has a subtree root, and it is a copy', () => {
  const hashes = new Uint8Array(Buffer.concat(leavesTo(4)))
  const root = subtreeRoot(hashes, sha256)
  assert.is(hexOf(root), hexOf(rangeRootOf(leavesTo(4))(0, 4)))
  const single = subtreeRoot(hashes.subarray(0, 32), sha256)
  hashes.fill(0)
  assert.is(hexOf(single), hexOf(leavesTo(1)[0] ?? bytesOf('')))
  for (const bytes of [0, 16, 33, 96, 5 * 32, 6 * 32, 12 * 32]) {
    assert.throws(() => subtreeRoot(new Uint8Array(bytes), sha256), /do not hold a power of two/)
  }
})

test('tiles are served where C2SP tlog-tiles says', () => {
  assert.is(tilePath(0, 0), 'tile/0/000')
  assert.is(tilePath(0, 999), 'tile/0/999')
  assert.is(tilePath(0, 1_067), 'tile/0/x001/067')
  assert.is(tilePath(1, 1_234_067), 'tile/1/x001/x234/067')
  assert.is(tilePath(0, 1_000_000), 'tile/0/x001/x000/000')
  assert.is(tilePath(0, 2 ** 45), 'tile/0/x035/x184/x372/x088/832')
  assert.is(tilePath(0, 273, 112), 'tile/0/273.p/112')
  assert.is(tilePath(0, 273, 256), 'tile/0/273')
})

test('a path is read back only as it is written', () => {
  for (const index of [0, 7, 999, 1_000, 1_067, 1_234_067, 2 ** 45]) {
    for (const level of [0, 1, 10, 'entries'] as const) {
      for (const width of [1, 255, 256]) {
        assert.equal(parseTilePath(tilePath(level, index, width)), { level, index, width })
      }
    }
  }
  const others = [
    '',
    'tile',
    'tile/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/00/000',
    'tile/-1/000',
    'tile/0/x000/001',
    'tile/0/001/067',
    'tile/0/x1/067',
    'tile/0/000.p',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/257',
    'tile/0/000/',
    '/tile/0/000',
    'tile/0/000\n',
    'tile/data/000',
    'tile/0/../000',
    'tile/0/x999/x999/x999/x999/x999/x999/999',
  ]
  for (const path of others) assert.is(parseTilePath(path), undefined, path)
})

test.run()
