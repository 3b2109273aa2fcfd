import type { ConsistencyClaim, InclusionClaim } from '../../src/merkle/proofs.ts'
import {
  consistencyOf,
  inclusionOf,
  leavesTo,
  type RangeRoot,
  rangeRootOf,
  repeatingRoot,
  sha256,
} from '../merkle/model.ts'
import type { Random } from '../support/seed.ts'

const small = rangeRootOf(leavesTo(3_000))
const large = repeatingRoot()
const sizeMax = Number.MAX_SAFE_INTEGER

/** A tree, and a size of it: mostly small, some around powers of two, and some as large as a ledger can be. */
function anyTree(random: Random): { root: RangeRoot; size: number } {
  const kind = random(10)
  if (kind < 6) return { root: small, size: 1 + random(3_000) }
  if (kind < 8) return { root: small, size: 2 ** (1 + random(11)) - 1 + random(3) }
  return { root: large, size: kind === 8 ? 2 ** (12 + random(41)) - 1 + random(3) : sizeMax - random(2 ** 20) }
}

/** A true claim, changed in up to three places. Some stay true, and some become another true one. */
export function mutatedInclusion(random: Random): InclusionClaim {
  const { root, size } = anyTree(random)
  const seqOf = () => [0, size - 1, below(random, size)][random(3)] ?? 0
  let claim = inclusionOf(seqOf(), size, root)
  for (let changes = random(4); changes > 0; changes -= 1) {
    const other = inclusionOf(seqOf(), size, root)
    const change = random(8)
    if (change < 4) claim = { ...claim, proof: changedProof(claim.proof, other.proof, random) }
    if (change === 4) claim = { ...claim, leafHash: changedHash(claim.leafHash, other.leafHash, random) }
    if (change === 5) claim = { ...claim, root: changedHash(claim.root, small(0, 7), random) }
    if (change === 6) claim = { ...claim, seq: changedNumber(claim.seq, claim.size, random) }
    if (change === 7) claim = { ...claim, size: changedNumber(claim.size, claim.seq, random) }
  }
  return claim
}

/** The same for a consistency claim. */
export function mutatedConsistency(random: Random): ConsistencyClaim {
  const { root, size } = anyTree(random)
  const fromOf = () => [0, 1, size, 2 ** random(11), below(random, size)][random(5)] ?? 0
  let claim = consistencyOf(Math.min(fromOf(), size), size, root)
  for (let changes = random(4); changes > 0; changes -= 1) {
    const other = consistencyOf(Math.min(fromOf(), size), size, root)
    const change = random(8)
    if (change < 4) claim = { ...claim, proof: changedProof(claim.proof, other.proof, random) }
    if (change === 4) claim = { ...claim, fromRoot: changedHash(claim.fromRoot, other.fromRoot, random) }
    if (change === 5) claim = { ...claim, toRoot: changedHash(claim.toRoot, claim.fromRoot, random) }
    if (change === 6) claim = { ...claim, from: changedNumber(claim.from, claim.to, random) }
    if (change === 7) claim = { ...claim, to: changedNumber(claim.to, claim.from, random) }
  }
  return claim
}

type Proof = readonly Uint8Array[]

function changedProof(proof: Proof, other: Proof, random: Random): Proof {
  const at = random(proof.length + 1)
  const hash = proof[at] ?? small(0, 3)
  const next = proof[at + 1] ?? small(1, 2)
  const changes: (() => Proof)[] = [
    () => proof.with(Math.min(at, proof.length - 1), changedHash(hash, next, random)),
    () => proof.toSpliced(at, 1),
    () => proof.toSpliced(at, 0, hash),
    () => proof.toSpliced(at, 2, next, hash),
    () => [...proof, hash],
    () => [hash, ...proof],
    () => proof.toReversed(),
    () => other,
    () => [...other.slice(0, at), ...proof.slice(at)],
    () => [],
    () => Array.from({ length: 60 + random(10) }, () => hash),
  ]
  return proof.length === 0 ? [hash] : (changes[random(changes.length)]?.() ?? proof)
}

function changedHash(hash: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const changes: (() => Uint8Array)[] = [
    () => hash.map((byte, at) => (at === random(hash.length) ? byte ^ (1 << random(8)) : byte)),
    () => other,
    () => hash.slice(0, 31),
    () => Uint8Array.from([...hash, 0]),
    () => new Uint8Array(0),
    () => new Uint8Array(32),
    () => sha256(hash),
  ]
  return changes[random(changes.length)]?.() ?? hash
}

function changedNumber(value: number, other: number, random: Random): number {
  const choices = [value + 1, value - 1, value * 2, Math.floor(value / 2), other, 0, -1, value + 0.5, 2 ** random(64)]
  return choices[random(choices.length)] ?? value
}

/** Below a limit that may be above 2^31. */
function below(random: Random, limit: number): number {
  return limit < 2 ** 31 ? random(limit) : Math.floor(limit * (random(2 ** 30) / 2 ** 30))
}
