import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  consistencyProof,
  inclusionProof,
  inclusionProofs,
  verifyConsistency,
  verifyInclusion,
} from '../../src/merkle/proofs.ts'
import { randomBelow } from '../support/seed.ts'
import {
  bytesOf,
  consistencyOf,
  fixture,
  hexOf,
  inclusionOf,
  leavesTo,
  type Rfc6962,
  rangeRootOf,
  repeatingRoot,
  sha256,
  sha256Later,
  tilesOf,
} from './model.ts'

const test = suite('proofs')
const random = randomBelow('proofs')
const rangeRoot = rangeRootOf(leavesTo(5_000))
const reader = tilesOf(5_000, rangeRoot)
const vectors = fixture<Rfc6962>('merkle/rfc6962.json')
const sampled = (count: number, bound: number) => Array.from({ length: count }, () => random(bound))

test('the reference proofs of inclusion are given and verified', async () => {
  for (const { seq, size, proof } of vectors.inclusion) {
    const leaves = (vectors.nodes[0] ?? []).map(bytesOf)
    const tiles = tilesOf(size, rangeRootOf(leaves))
    assert.equal(inclusionProof(seq, size, tiles, sha256).map(hexOf), proof)
    const leafHash = leaves[seq] ?? bytesOf('')
    const claim = { leafHash, seq, size, proof: proof.map(bytesOf), root: bytesOf(vectors.roots[size] ?? '') }
    assert.ok(await verifyInclusion(claim, sha256Later), `seq ${seq} of ${size}`)
  }
})

test('the reference proofs of consistency are given and verified', async () => {
  for (const { from, to, proof } of vectors.consistency) {
    const tiles = tilesOf(to, rangeRootOf((vectors.nodes[0] ?? []).map(bytesOf)))
    assert.equal(consistencyProof(from, to, tiles, sha256).map(hexOf), proof)
    const [fromRoot, toRoot] = [bytesOf(vectors.roots[from] ?? ''), bytesOf(vectors.roots[to] ?? '')]
    const claim = { from, fromRoot, to, toRoot, proof: proof.map(bytesOf) }
    assert.ok(await verifyConsistency(claim, sha256Later), `from ${from} to ${to}`)
  }
})

test('every leaf of every size has the proof of the recursive definition, and it verifies', async () => {
  for (let size = 1; size <= 600; size++) {
    const seqs = size <= 48 ? Array(size).keys() : [0, size - 1, ...sampled(3, size)]
    for (const seq of seqs) {
      const claim = inclusionOf(seq, size, rangeRoot)
      assert.equal(inclusionProof(seq, size, reader, sha256).map(hexOf), claim.proof.map(hexOf))
      assert.ok(await verifyInclusion(claim, sha256), `seq ${seq} of ${size}`)
    }
  }
})

test('proofs made one after another equal proofs made alone, and cost a few hashes each in ascending order', () => {
  for (const size of [1, 2, 255, 256, 257, 600, 5_000]) {
    const proofOf = inclusionProofs(size, reader, sha256)
    const seqs = [...Array(Math.min(size, 600)).keys(), ...sampled(50, size), size - 1]
    for (const seq of seqs) {
      assert.equal(proofOf(seq).map(hexOf), inclusionProof(seq, size, reader, sha256).map(hexOf), `${seq} of ${size}`)
    }
    assert.throws(() => proofOf(size), /no leaf/)
  }
  let hashes = 0
  const proofOf = inclusionProofs(5_000, reader, (bytes) => {
    hashes += 1
    return sha256(bytes)
  })
  for (let seq = 0; seq < 5_000; seq += 1) proofOf(seq)
  assert.ok(hashes < 8 * 5_000, `${hashes} hashes`)
})

test('every two sizes have the proof of the recursive definition, and it verifies', async () => {
  for (let to = 0; to <= 600; to++) {
    const froms = to <= 48 ? Array(to + 1).keys() : [0, 1, to - 1, to, ...sampled(3, to)]
    for (const from of froms) {
      const claim = consistencyOf(from, to, rangeRoot)
      assert.equal(consistencyProof(from, to, reader, sha256).map(hexOf), claim.proof.map(hexOf))
      assert.ok(await verifyConsistency(claim, sha256), `from ${from} to ${to}`)
    }
  }
})

test('larger trees have the proofs of the recursive definition, and they verify', async () => {
  for (const size of [4_096, 4_097, ...sampled(20, 4_400).map((more) => 601 + more)]) {
    const seq = random(size)
    const inclusion = inclusionOf(seq, size, rangeRoot)
    assert.equal(inclusionProof(seq, size, reader, sha256).map(hexOf), inclusion.proof.map(hexOf))
    assert.ok(await verifyInclusion(inclusion, sha256Later), `seq ${seq} of ${size}`)
    const consistency = consistencyOf(seq, size, rangeRoot)
    assert.equal(consistencyProof(seq, size, reader, sha256).map(hexOf), consistency.proof.map(hexOf))
    assert.ok(await verifyConsistency(consistency, sha256Later), `from ${seq} to ${size}`)
  }
})

test('trees beyond 32 bits have the proofs of the recursive definition, and they verify', async () => {
  const root = repeatingRoot()
  for (const size of [2 ** 31, 2 ** 32 + 1, 2 ** 40 + 12_345, 2 ** 53 - 1]) {
    const tiles = tilesOf(size, root)
    for (const seq of [0, 1, 2 ** 31 - 1, Math.floor(size / 2), size - 1]) {
      const inclusion = inclusionOf(seq, size, root)
      assert.equal(inclusionProof(seq, size, tiles, sha256).map(hexOf), inclusion.proof.map(hexOf))
      assert.ok(await verifyInclusion(inclusion, sha256), `seq ${seq} of ${size}`)
      assert.not(await verifyInclusion({ ...inclusion, seq: seq === 0 ? 1 : seq - 1 }, sha256))
      const consistency = consistencyOf(seq, size, root)
      assert.equal(consistencyProof(seq, size, tiles, sha256).map(hexOf), consistency.proof.map(hexOf))
      assert.ok(await verifyConsistency(consistency, sha256), `from ${seq} to ${size}`)
      if (seq > 0) assert.not(await verifyConsistency({ ...consistency, toRoot: consistency.fromRoot }, sha256))
    }
  }
})

test('a tree begins with the empty tree and with itself, by an empty proof alone', async () => {
  const root = (size: number) => rangeRoot(0, size)
  const same = consistencyOf(5, 5, rangeRoot)
  assert.equal(same.proof, [])
  assert.ok(await verifyConsistency(same, sha256))
  assert.not(await verifyConsistency({ ...same, toRoot: root(6) }, sha256))
  assert.not(await verifyConsistency({ ...same, proof: [root(5)] }, sha256))
  const empty = consistencyOf(0, 0, rangeRoot)
  assert.ok(await verifyConsistency(empty, sha256))
  assert.not(await verifyConsistency({ ...empty, fromRoot: root(1), toRoot: root(1) }, sha256))
  const grown = consistencyOf(0, 5, rangeRoot)
  assert.ok(await verifyConsistency(grown, sha256))
  assert.not(await verifyConsistency({ ...grown, fromRoot: root(1) }, sha256))
  assert.not(await verifyConsistency({ ...grown, proof: [root(5)] }, sha256))
  assert.not(await verifyConsistency({ ...consistencyOf(4, 5, rangeRoot), proof: [] }, sha256))
})

test('no proof is given for a leaf or a size that the tree does not have', () => {
  const noLeaves: [number, number][] = [
    [5, 5],
    [0, 0],
    [-1, 5],
    [0.5, 5],
    [0, 2 ** 53],
  ]
  for (const [seq, size] of noLeaves) {
    assert.throws(() => inclusionProof(seq, size, reader, sha256), /no leaf/)
  }
  const noGrowths: [number, number][] = [
    [6, 5],
    [-1, 5],
    [0.5, 5],
    [0, 2 ** 53],
  ]
  for (const [from, to] of noGrowths) {
    assert.throws(() => consistencyProof(from, to, reader, sha256), /a tree cannot grow/)
  }
  assert.throws(() => inclusionProof(0, 5_001, reader, sha256), /lacks hash/)
})

test.run()
