import { verifySignedCheckpoint } from './merkle/checkpoint.ts'
import { entryLine, isRecord, isWellFormed } from './merkle/entry-line.ts'
import { fromHex, type Hash, hashBytes, leafHashLater, toHex } from './merkle/hash.ts'
import { proofHashesMax, verifyConsistency, verifyInclusion } from './merkle/proofs.ts'
import { parseVkey } from './merkle/vkey.ts'

// This module is published as `lockstep/verify`: it checks what a ledger claims without the ledger, in a browser
// too. It needs `crypto.subtle` with SHA-256 and, for checkpoints, Ed25519. Nothing it is given makes it throw.

/** The check that said no: the shape of the input, the entry, its leaf hash, a proof, the key, the checkpoint. */
export type Check = 'document' | 'entry' | 'leaf_hash' | 'inclusion' | 'consistency' | 'key' | 'checkpoint'

/** Which check failed, and why, as a sentence. */
export type Failed = { ok: false; check: Check; reason: string }

/** An entry that is proven to stand in a tree. `authenticity` is checked where the caller brought the key. */
export type VerifiedProof = {
  ok: true
  seq: number
  size: number
  root: string
  leaf_hash: string
  authenticity: 'checked' | 'unchecked'
}

/**
 * Verifies the document that `lockstep prove <seq> --json` prints: `{ seq, size, root, leaf_hash, proof, entry,
 * checkpoint?, vkey? }`, hashes in hex. A checkpoint must be signed and state this size and root. The key that the
 * document itself brings proves nothing about who wrote it, so only with `options.vkey`, which then also requires
 * a checkpoint, is `authenticity` checked.
 */
export async function verifyProof(
  document: unknown,
  options: { vkey?: string | undefined } = {},
): Promise<VerifiedProof | Failed> {
  if (!isRecord(document)) return failed('document', 'the document is not an object')
  const { seq, size, root, leaf_hash, proof, entry, checkpoint } = document
  if (hashOf(leaf_hash) === undefined) return failed('document', 'leaf_hash is not the hex of 32 bytes')
  const line = entryLine(entry)
  if (line === undefined) return failed('entry', 'the entry cannot be one of a ledger')
  if (!isRecord(entry) || entry.seq !== seq) return failed('entry', 'the entry carries another seq')
  const leaf = await leafHashOf(line)
  if (leaf !== leaf_hash) return failed('leaf_hash', 'the entry does not have this leaf hash')
  const verified = await verifyEntry({ line, seq, size, proof, root })
  if (!verified.ok) return verified

  const hasTrustedKey = options.vkey !== undefined
  const authenticity = hasTrustedKey ? 'checked' : 'unchecked'
  if (checkpoint === undefined && !hasTrustedKey) return { ...verified, authenticity }
  const head = await verifyCheckpoint(checkpoint, hasTrustedKey ? options.vkey : document.vkey)
  if (!head.ok) return head
  if (head.size !== verified.size || head.root !== verified.root) {
    return failed('checkpoint', 'the checkpoint states another size or root than the proof')
  }
  return { ...verified, authenticity }
}

/**
 * Verifies that the entry of a canonical JSON line, without its newline, stands at `seq` in the tree with this
 * root. Hashes are hex; members may be anything, as they come from outside.
 */
export async function verifyEntry(claim: {
  line: unknown
  seq: unknown
  size: unknown
  proof: unknown
  root: unknown
}): Promise<Omit<VerifiedProof, 'authenticity'> | Failed> {
  const { line, seq, size, proof, root } = claim
  if (typeof line !== 'string' || !isWellFormed(line)) return failed('entry', 'the line is no Unicode text')
  if (!isSize(seq) || !isSize(size)) return failed('document', 'seq or size is not a whole number')
  const rootHash = hashOf(root)
  if (rootHash === undefined) return failed('document', 'root is not the hex of 32 bytes')
  const hashes = hashesOf(proof)
  if (hashes === undefined) return failed('document', 'proof is not a list of the hex of 32 bytes each')
  const leaf = await leafHashLater(utf8(line), sha256)
  if (!(await verifyInclusion({ leafHash: leaf, seq, size, proof: hashes, root: rootHash }, sha256))) {
    return failed('inclusion', `the proof does not place the entry at seq ${seq} of the tree of size ${size}`)
  }
  return { ok: true, seq, size, root: toHex(rootHash), leaf_hash: toHex(leaf) }
}

/**
 * Verifies the document `{ from, from_root, to, to_root, proof }`, hashes in hex: the tree of `to` entries begins
 * with the tree of `from` entries. Who wrote the two roots is for their checkpoints to say.
 */
export async function verifyConsistencyProof(
  document: unknown,
): Promise<{ ok: true; from: number; to: number } | Failed> {
  if (!isRecord(document)) return failed('document', 'the document is not an object')
  const { from, from_root, to, to_root, proof } = document
  if (!isSize(from) || !isSize(to)) return failed('document', 'from or to is not a whole number')
  const [fromRoot, toRoot] = [hashOf(from_root), hashOf(to_root)]
  if (fromRoot === undefined || toRoot === undefined) {
    return failed('document', 'from_root or to_root is not the hex of 32 bytes')
  }
  const hashes = hashesOf(proof)
  if (hashes === undefined) return failed('document', 'proof is not a list of the hex of 32 bytes each')
  if (!(await verifyConsistency({ from, fromRoot, to, toRoot, proof: hashes }, sha256))) {
    return failed('consistency', `the tree of size ${to} is not shown to begin with that of size ${from}`)
  }
  return { ok: true, from, to }
}

/** Verifies a checkpoint, a signed note, with a verifier key line. The root it answers with is hex. */
export async function verifyCheckpoint(
  note: unknown,
  vkey: unknown,
): Promise<{ ok: true; origin: string; size: number; root: string } | Failed> {
  if (typeof vkey !== 'string') return failed('key', 'there is no key to check the checkpoint with')
  if (typeof note !== 'string') return failed('checkpoint', 'there is no checkpoint')
  const key = await parseVkey(vkey, sha256)
  if (!key.ok) return failed('key', key.reason)
  const publicKey = await importKey(key.value.publicKey)
  if (publicKey === undefined) return failed('key', 'the key is no use here: Ed25519 in WebCrypto is needed')
  const checkpoint = await verifySignedCheckpoint(note, key.value, (_, message, signature) =>
    crypto.subtle.verify('Ed25519', publicKey, signature, message),
  )
  if (!checkpoint.ok) return failed('checkpoint', checkpoint.reason)
  return { ok: true, ...checkpoint.value, root: toHex(checkpoint.value.root) }
}

/** Leaf hash, in hex, of an entry's canonical JSON line without its newline. */
export async function leafHashOf(line: string): Promise<string> {
  return toHex(await leafHashLater(utf8(line), sha256))
}

const utf8 = (text: string) => new TextEncoder().encode(text)

const sha256: Hash = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))

/** The key for WebCrypto, or undefined where the platform has no Ed25519 or the bytes are no point of its curve. */
async function importKey(publicKey: Uint8Array) {
  try {
    return await crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify'])
  } catch {
    return undefined
  }
}

function failed(check: Check, reason: string): Failed {
  return { ok: false, check, reason }
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** The hash whose hex this is, if it is that. */
function hashOf(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' && value.length === 2 * hashBytes ? fromHex(value) : undefined
}

/** The hashes whose hex this lists, if it does and they are not more than a proof has. */
function hashesOf(value: unknown): Uint8Array[] | undefined {
  if (!Array.isArray(value) || value.length > proofHashesMax) return undefined
  const hashes = Array.from(value, hashOf)
  return hashes.every((hash) => hash !== undefined) ? hashes : undefined
}
