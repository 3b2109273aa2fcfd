import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hash } from '../../src/merkle/hash.ts'
import {
  type ConsistencyClaim,
  consistencyProof,
  type InclusionClaim,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from '../../src/merkle/proofs.ts'
import {
  bytesOf,
  fixture,
  hexOf,
  leafAt,
  leavesTo,
  pathOf,
  type Rfc6962,
  rangeRootOf,
  repeatingRoot,
  seededRandom,
  sha256,
  sha256Later,
  subproofOf,
  tilesOf,
} from './model.ts'

const test = suite('proofs')
const vectors = fixture<Rfc6962>('merkle/rfc6962.json')
const random = seededRandom('proofs')

const rangeRoot = rangeRootOf(leavesTo(5_000))
const reader = tilesOf(5_000, rangeRoot)
const emptyRoot = sha256(new Uint8Array(0))
const rootAt = (size: number) => (size === 0 ? emptyRoot : rangeRoot(0, size))
const sampled = (count: number, bound: number) => Array.from({ length: count }, () => random(bound))

function inclusionOf(seq: number, size: number): InclusionClaim {
  return { leafHash: leafAt(seq), seq, size, proof: pathOf(seq, 0, size, rangeRoot), root: rootAt(size) }
}

function consistencyOf(from: number, to: number): ConsistencyClaim {
  const proof = from === 0 ? [] : subproofOf(from, 0, to, true, rangeRoot)
  return { from, fromRoot: rootAt(from), to, toRoot: rootAt(to), proof }
}

function flipped(bytes: Uint8Array): Uint8Array {
  const bit = random(bytes.length * 8)
  return Uint8Array.from(bytes, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
}

/** A proof changed in every way that keeps it a list of hashes: one flipped, dropped, doubled, swapped or added. */
function* mutated(proof: readonly Uint8Array[]): Generator<Uint8Array[]> {
  for (const [at, hash] of proof.entries()) {
    yield proof.with(at, flipped(hash))
    yield proof.toSpliced(at, 1)
    yield proof.toSpliced(at, 0, hash)
    const next = proof[at + 1]
    if (next !== undefined) yield proof.toSpliced(at, 2, next, hash)
  }
  yield [...proof, leafAt(0)]
  yield [leafAt(0), ...proof]
}

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
      const claim = inclusionOf(seq, size)
      assert.equal(inclusionProof(seq, size, reader, sha256).map(hexOf), claim.proof.map(hexOf))
      assert.ok(await verifyInclusion(claim, sha256), `seq ${seq} of ${size}`)
    }
  }
})

test('every two sizes have the proof of the recursive definition, and it verifies', async () => {
  for (let to = 0; to <= 600; to++) {
    const froms = to <= 48 ? Array(to + 1).keys() : [0, 1, to - 1, to, ...sampled(3, to)]
    for (const from of froms) {
      const claim = consistencyOf(from, to)
      assert.equal(consistencyProof(from, to, reader, sha256).map(hexOf), claim.proof.map(hexOf))
      assert.ok(await verifyConsistency(claim, sha256), `from ${from} to ${to}`)
    }
  }
})

test('larger trees have the proofs of the recursive definition, and they verify', async () => {
  for (const size of [4_096, 4_097, ...sampled(20, 4_400).map((more) => 601 + more)]) {
    const seq = random(size)
    const inclusion = inclusionOf(seq, size)
    assert.equal(inclusionProof(seq, size, reader, sha256).map(hexOf), inclusion.proof.map(hexOf))
    assert.ok(await verifyInclusion(inclusion, sha256Later), `seq ${seq} of ${size}`)
    const consistency = consistencyOf(seq, size)
    assert.equal(consistencyProof(seq, size, reader, sha256).map(hexOf), consistency.proof.map(hexOf))
    assert.ok(await verifyConsistency(consistency, sha256Later), `from ${seq} to ${size}`)
  }
})

test('trees beyond 32 bits have the proofs of the recursive definition, and they verify', async () => {
  const root = repeatingRoot()
  for (const size of [2 ** 31, 2 ** 32 + 1, 2 ** 40 + 12_345, 2 ** 53 - 1]) {
    const tiles = tilesOf(size, root)
    for (const seq of [0, 1, 2 ** 31 - 1, Math.floor(size / 2), size - 1]) {
      const proof = inclusionProof(seq, size, tiles, sha256)
      assert.equal(proof.map(hexOf), pathOf(seq, 0, size, root).map(hexOf))
      const claim = { leafHash: leafAt(seq % 256), seq, size, proof, root: root(0, size) }
      assert.ok(await verifyInclusion(claim, sha256), `seq ${seq} of ${size}`)
      assert.not(await verifyInclusion({ ...claim, seq: seq === 0 ? 1 : seq - 1 }, sha256))
      if (seq === 0) continue
      const longer = consistencyProof(seq, size, tiles, sha256)
      assert.equal(longer.map(hexOf), subproofOf(seq, 0, size, true, root).map(hexOf))
      const roots = { fromRoot: root(0, seq), toRoot: root(0, size) }
      assert.ok(await verifyConsistency({ from: seq, to: size, proof: longer, ...roots }, sha256))
      assert.not(await verifyConsistency({ from: seq, to: size, proof: longer.map(flipped), ...roots }, sha256))
    }
  }
})

test('a proof of inclusion that was changed in any way is false', async () => {
  let count = 0
  for (const size of [1, 2, 3, 7, 8, 13, 256, 257, 1_000 + random(4_000)]) {
    for (const seq of new Set([0, size - 1, random(size)])) {
      const claim = inclusionOf(seq, size)
      assert.not(await verifyInclusion({ ...claim, leafHash: flipped(claim.leafHash) }, sha256))
      assert.not(await verifyInclusion({ ...claim, root: flipped(claim.root) }, sha256))
      for (const proof of mutated(claim.proof)) {
        assert.not(await verifyInclusion({ ...claim, proof }, sha256), `seq ${seq} of ${size}`)
        count += 1
      }
    }
  }
  assert.ok(count > 200)
})

test('a proof of consistency that was changed in any way is false', async () => {
  let count = 0
  for (const to of [1, 2, 3, 7, 8, 13, 256, 257, 1_000 + random(4_000)]) {
    for (const from of new Set([1, to - 1, to, Math.max(1, random(to))])) {
      const claim = consistencyOf(from, to)
      assert.not(await verifyConsistency({ ...claim, fromRoot: flipped(claim.fromRoot) }, sha256), `from ${from}`)
      if (from === 0) continue
      assert.not(await verifyConsistency({ ...claim, toRoot: flipped(claim.toRoot) }, sha256))
      for (const proof of mutated(claim.proof)) {
        assert.not(await verifyConsistency({ ...claim, proof }, sha256), `from ${from} to ${to}`)
        count += 1
      }
    }
  }
  assert.ok(count > 200)
})

test('a proof of inclusion is false at every other place', async () => {
  for (let size = 1; size <= 20; size++) {
    for (let seq = 0; seq < size; seq++) {
      const claim = inclusionOf(seq, size)
      for (let other = 0; other < size; other++) {
        assert.is(await verifyInclusion({ ...claim, seq: other }, sha256), other === seq, `${other} of ${size}`)
      }
    }
  }
})

test('a tree begins with the empty tree and with itself, by an empty proof alone', async () => {
  const same = consistencyOf(5, 5)
  assert.equal(same.proof, [])
  assert.ok(await verifyConsistency(same, sha256))
  assert.not(await verifyConsistency({ ...same, toRoot: rootAt(6) }, sha256))
  assert.not(await verifyConsistency({ ...same, proof: [rootAt(5)] }, sha256))
  assert.ok(await verifyConsistency(consistencyOf(0, 0), sha256))
  assert.not(await verifyConsistency({ ...consistencyOf(0, 0), fromRoot: rootAt(1), toRoot: rootAt(1) }, sha256))
  const grown = consistencyOf(0, 5)
  assert.ok(await verifyConsistency(grown, sha256))
  assert.not(await verifyConsistency({ ...grown, fromRoot: rootAt(1) }, sha256))
  assert.not(await verifyConsistency({ ...grown, proof: [rootAt(5)] }, sha256))
  assert.not(await verifyConsistency({ ...consistencyOf(4, 5), proof: [] }, sha256))
})

const noSizes = [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined, 1n]
const noHashes = [new Uint8Array(31), new Uint8Array(33), 'ab', null, undefined, Array(32).fill(0)]
const noProofs = [null, undefined, 'proof', {}, [new Uint8Array(31)], ['ab'], [null], new Array(2)]

test('nonsense in place of a claim of inclusion is false', async () => {
  const claim = inclusionOf(2, 4)
  const nonsense = [
    ...noSizes.flatMap((no) => [{ seq: no }, { size: no }]),
    ...noHashes.flatMap((no) => [{ leafHash: no }, { root: no }]),
    ...noProofs.map((proof) => ({ proof })),
    ...[{ seq: 4 }, { seq: 5 }, { size: 0 }, { size: 2 }],
  ]
  assert.ok(await verifyInclusion(claim, sha256))
  for (const changed of nonsense) {
    assert.is(
      await verifyInclusion({ ...claim, ...changed } as InclusionClaim, sha256),
      false,
      JSON.stringify(Object.keys(changed)),
    )
  }
})

test('nonsense in place of a claim of consistency is false', async () => {
  const claim = consistencyOf(3, 4)
  const nonsense = [
    ...noSizes.flatMap((no) => [{ from: no }, { to: no }]),
    ...noHashes.flatMap((no) => [{ fromRoot: no }, { toRoot: no }]),
    ...noProofs.map((proof) => ({ proof })),
    ...[{ from: 5 }, { to: 2 }],
  ]
  assert.ok(await verifyConsistency(claim, sha256))
  for (const changed of nonsense) {
    assert.is(
      await verifyConsistency({ ...claim, ...changed } as ConsistencyClaim, sha256),
      false,
      JSON.stringify(Object.keys(changed)),
    )
  }
})

test('a proof too long for any tree is refused without hashing', async () => {
  let count = 0
  const counting: Hash = (bytes) => {
    count += 1
    return sha256(bytes)
  }
  const proof = Array(65).fill(leafAt(0))
  assert.not(await verifyInclusion({ ...inclusionOf(0, 8), size: 2 ** 53 - 1, proof }, counting))
  assert.not(await verifyConsistency({ ...consistencyOf(3, 8), to: 2 ** 53 - 1, proof }, counting))
  assert.is(count, 0)
})

test('no proof is given for a leaf or a size that the tree does not have', () => {
  for (const [seq, size] of [
    [5, 5],
    [0, 0],
    [-1, 5],
    [0.5, 5],
    [0, 2 ** 53],
  ] as const) {
    assert.throws(() => inclusionProof(seq, size, reader, sha256), /no leaf/)
  }
  for (const [from, to] of [
    [6, 5],
    [-1, 5],
    [0.5, 5],
    [0, 2 ** 53],
  ] as const) {
    assert.throws(() => consistencyProof(from, to, reader, sha256), /no tree grows/)
  }
  assert.throws(() => inclusionProof(0, 5_001, reader, sha256), /lacks hash/)
})

test.run()
