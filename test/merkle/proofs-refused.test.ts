import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hash } from '../../src/merkle/hash.ts'
import {
  type ConsistencyClaim,
  type InclusionClaim,
  verifyConsistency,
  verifyInclusion,
} from '../../src/merkle/proofs.ts'
import { randomBelow } from '../support/seed.ts'
import { consistencyOf, inclusionOf, leafAt, leavesTo, rangeRootOf, sha256 } from './model.ts'

const test = suite('proofs refused')
const random = randomBelow('proofs refused')
const rangeRoot = rangeRootOf(leavesTo(5_000))

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

test('a proof of inclusion that was changed in any way is false', async () => {
  let count = 0
  for (const size of [1, 2, 3, 7, 8, 13, 256, 257, 1_000 + random(4_000)]) {
    for (const seq of new Set([0, size - 1, random(size)])) {
      const claim = inclusionOf(seq, size, rangeRoot)
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
      const claim = consistencyOf(from, to, rangeRoot)
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
      const claim = inclusionOf(seq, size, rangeRoot)
      for (let other = 0; other < size; other++) {
        assert.is(await verifyInclusion({ ...claim, seq: other }, sha256), other === seq, `${other} of ${size}`)
      }
    }
  }
})

const noSizes = [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined, 1n]
const noHashes = [new Uint8Array(31), new Uint8Array(33), 'ab', null, undefined, Array(32).fill(0)]
const noProofs = [null, undefined, 'proof', {}, [new Uint8Array(31)], ['ab'], [null], new Array(2)]

test('a malformed claim of inclusion is false', async () => {
  const claim = inclusionOf(2, 4, rangeRoot)
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

test('a malformed claim of consistency is false', async () => {
  const claim = consistencyOf(3, 4, rangeRoot)
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

test('an empty proof proves nothing about other places or sizes than those of the roots', async () => {
  const leaf = leafAt(0)
  const places: [number, number][] = [
    [0, 0],
    [1, 1],
    [5, 1],
    [0, 2],
  ]
  for (const [seq, size] of places) {
    assert.not(await verifyInclusion({ leafHash: leaf, seq, size, proof: [], root: leaf }, sha256), `${seq} of ${size}`)
  }
  assert.ok(await verifyInclusion({ leafHash: leaf, seq: 0, size: 1, proof: [], root: leaf }, sha256))
  const sizes: [number, number][] = [
    [2, 1],
    [1, 0],
    [1, 2],
    [4, 8],
    [3, 4],
  ]
  for (const [from, to] of sizes) {
    const claim = { from, fromRoot: leaf, to, toRoot: leaf, proof: [] }
    assert.not(await verifyConsistency(claim, sha256), `from ${from} to ${to}`)
    // A proof that stops at the node it begins with reaches neither root.
    assert.not(await verifyConsistency({ ...claim, proof: [leaf] }, sha256), `from ${from} to ${to}`)
  }
})

test('a proof too long for any tree is refused without hashing', async () => {
  let count = 0
  const counting: Hash = (bytes) => {
    count += 1
    return sha256(bytes)
  }
  const proof = Array(65).fill(leafAt(0))
  assert.not(await verifyInclusion({ ...inclusionOf(0, 8, rangeRoot), size: 2 ** 53 - 1, proof }, counting))
  assert.not(await verifyConsistency({ ...consistencyOf(3, 8, rangeRoot), to: 2 ** 53 - 1, proof }, counting))
  assert.is(count, 0)
})

test.run()
