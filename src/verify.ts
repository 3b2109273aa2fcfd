import { verifySignedCheckpoint } from './merkle/checkpoint.ts'
import { entryLine, isRecord, isWellFormed } from './merkle/entry-line.ts'
import { fromHex, type Hash, hashBytes, leafHashLater, toHex } from './merkle/hash.ts'
import { proofHashesMax, verifyConsistency, verifyInclusion } from './merkle/proofs.ts'
import { parseVkey } from './merkle/vkey.ts'

// This module is published as `lockstep/verify`. It checks a ledger's claims without the ledger, also in a browser. It
// needs `crypto.subtle` with SHA-256 and, for checkpoints, Ed25519; browsers give it to secure origins alone. No input
// makes it throw.

/**
 * The check that failed: the shape of the input, the entry, its leaf hash, a proof, the key, the checkpoint, or what this
 * platform can do.
 */
export type Check = 'document' | 'entry' | 'leaf_hash' | 'inclusion' | 'consistency' | 'key' | 'checkpoint' | 'platform'

/** The check that failed, and the reason as a sentence. */
export type Failed = { ok: false; check: Check; reason: string }

/** An entry that was proven to be in a tree. `authenticity` is checked only if the caller passed a key. */
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
 * checkpoint?, vkey? }`, with hashes in hex. A checkpoint must be signed and contain this size and root. The key inside
 * the document does not prove who wrote it. So `authenticity` is checked only with `options.vkey`, and a checkpoint is
 * then required. Options with a key that is undefined are refused, because their author meant to check.
 */
export function verifyProof(document: unknown, options?: { vkey: string }): Promise<VerifiedProof | Failed> {
  return guarded(() => proven(document, options))
}

async function proven(document: unknown, options: { vkey: string } | undefined): Promise<VerifiedProof | Failed> {
  if (!isRecord(document)) return failed('document', 'the document is not an object')
  const { seq, size, root, leaf_hash, proof, entry, checkpoint } = document
  if (hashOf(leaf_hash) === undefined) return failed('document', 'leaf_hash is not 32 bytes in hex')
  const line = entryLine(entry)
  if (line === undefined) return failed('entry', 'the entry cannot be from a ledger')
  if (!isRecord(entry) || entry.seq !== seq) return failed('entry', 'the entry has a different seq')
  const leaf = await leafHashOf(line)
  if (leaf !== leaf_hash) return failed('leaf_hash', 'leaf_hash is not the leaf hash of the entry')
  const verified = await verifyEntry({ line, seq, size, proof, root })
  if (!verified.ok) return verified

  const authenticity = options === undefined ? 'unchecked' : 'checked'
  if (checkpoint === undefined && options === undefined) return { ...verified, authenticity }
  const head = await verifyCheckpoint(checkpoint, options === undefined ? document.vkey : options.vkey)
  if (!head.ok) return head
  if (head.size !== verified.size || head.root !== verified.root) {
    return failed('checkpoint', 'the size or root of the checkpoint differs from the proof')
  }
  return { ...verified, authenticity }
}

/**
 * Verifies that an entry is at `seq` in the tree with this root. `line` is its canonical JSON line without the newline,
 * and hashes are in hex. Members may have any value, because they come from outside.
 */
export function verifyEntry(claim: EntryClaim): Promise<Omit<VerifiedProof, 'authenticity'> | Failed> {
  return guarded(() => included(claim))
}

/** What `verifyEntry` is asked about. */
interface EntryClaim {
  line: unknown
  seq: unknown
  size: unknown
  proof: unknown
  root: unknown
}

async function included(claim: EntryClaim): Promise<Omit<VerifiedProof, 'authenticity'> | Failed> {
  const { line, seq, size, proof, root } = claim
  if (typeof line !== 'string' || !isWellFormed(line)) return failed('entry', 'the line is not valid Unicode text')
  if (!isSize(seq) || !isSize(size)) return failed('document', 'seq or size is not a whole number')
  const rootHash = hashOf(root)
  if (rootHash === undefined) return failed('document', 'root is not 32 bytes in hex')
  const hashes = hashesOf(proof)
  if (hashes === undefined) return failed('document', 'proof is not a list of 32-byte hashes in hex')
  const leaf = await leafHashLater(utf8(line), sha256)
  if (!(await verifyInclusion({ leafHash: leaf, seq, size, proof: hashes, root: rootHash }, sha256))) {
    return failed('inclusion', `the proof does not show that the entry is at seq ${seq} in the tree of size ${size}`)
  }
  return { ok: true, seq, size, root: toHex(rootHash), leaf_hash: toHex(leaf) }
}

/** Two tree sizes; the smaller tree was proven to be the beginning of the larger one. */
export type VerifiedGrowth = { ok: true; from: number; to: number }

/**
 * Verifies that a ledger only grew between two checkpoints (signed notes) of the same key. `proof` is the member of that
 * name of `lockstep consistency FROM TO --json`: hashes in hex. Only signed roots are compared, so the answer does not
 * depend on who delivered the proof.
 */
export function verifyGrowth(
  oldNote: unknown,
  newNote: unknown,
  proof: unknown,
  vkey: string,
): Promise<VerifiedGrowth | Failed> {
  return guarded(async () => {
    const [old, grown] = [await verifyCheckpoint(oldNote, vkey), await verifyCheckpoint(newNote, vkey)]
    if (!old.ok) return old
    if (!grown.ok) return grown
    return consistent({ from: old.size, from_root: old.root, proof, to: grown.size, to_root: grown.root })
  })
}

/**
 * Verifies the document `{ from, from_root, to, to_root, proof }`, with hashes in hex: the tree of `to` entries begins
 * with the tree of `from` entries. Nothing here proves whose roots these are: take them from verified checkpoints, or
 * use `verifyGrowth`.
 */
export function verifyConsistencyProof(document: unknown): Promise<VerifiedGrowth | Failed> {
  return guarded(() => consistent(document))
}

async function consistent(document: unknown): Promise<VerifiedGrowth | Failed> {
  if (!isRecord(document)) return failed('document', 'the document is not an object')
  const { from, from_root, to, to_root, proof } = document
  if (!isSize(from) || !isSize(to)) return failed('document', 'from or to is not a whole number')
  const [fromRoot, toRoot] = [hashOf(from_root), hashOf(to_root)]
  if (fromRoot === undefined || toRoot === undefined) {
    return failed('document', 'from_root or to_root is not 32 bytes in hex')
  }
  const hashes = hashesOf(proof)
  if (hashes === undefined) return failed('document', 'proof is not a list of 32-byte hashes in hex')
  if (!(await verifyConsistency({ from, fromRoot, to, toRoot, proof: hashes }, sha256))) {
    return failed(
      'consistency',
      `the proof does not show that the tree of size ${to} begins with the tree of size ${from}`,
    )
  }
  return { ok: true, from, to }
}

/** Verifies a checkpoint (a signed note) with a verifier key line. The returned root is in hex. */
export function verifyCheckpoint(note: unknown, vkey: unknown): Promise<VerifiedCheckpoint | Failed> {
  return guarded(() => signed(note, vkey))
}

/** A tree head that the key signed. */
export type VerifiedCheckpoint = { ok: true; origin: string; size: number; root: string }

async function signed(note: unknown, vkey: unknown): Promise<VerifiedCheckpoint | Failed> {
  if (typeof vkey !== 'string') return failed('key', 'there is no key to verify the checkpoint with')
  if (typeof note !== 'string') return failed('checkpoint', 'there is no checkpoint')
  const key = await parseVkey(vkey, sha256)
  if (!key.ok) return failed('key', key.reason)
  const publicKey = await importKey(key.value.publicKey)
  if (publicKey === undefined)
    return failed('key', 'the key cannot be used: it is invalid, or WebCrypto here does not support Ed25519')
  const checkpoint = await verifySignedCheckpoint(note, key.value, (_, message, signature) =>
    crypto.subtle.verify('Ed25519', publicKey, signature, message),
  )
  if (!checkpoint.ok) return failed('checkpoint', checkpoint.reason)
  return { ok: true, ...checkpoint.value, root: toHex(checkpoint.value.root) }
}

/** The leaf hash, in hex, of an entry's canonical JSON line without the newline. */
export async function leafHashOf(line: string): Promise<string> {
  return toHex(await leafHashLater(utf8(line), sha256))
}

const utf8 = (text: string) => new TextEncoder().encode(text)

const sha256: Hash = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))

/** The key for WebCrypto. Undefined if the platform lacks Ed25519 or the bytes are not a point on its curve. */
async function importKey(publicKey: Uint8Array) {
  try {
    return await crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify'])
  } catch {
    return undefined
  }
}

/** The result of a verification. A getter that throws or a revoked proxy in the input is a failure like others. */
async function guarded<Verified>(verification: () => Promise<Verified | Failed>): Promise<Verified | Failed> {
  if (globalThis.crypto?.subtle === undefined) {
    return failed('platform', 'WebCrypto is missing here; browsers offer it only to pages from https or localhost')
  }
  try {
    return await verification()
  } catch {
    return failed('document', 'the input cannot be read')
  }
}

function failed(check: Check, reason: string): Failed {
  return { ok: false, check, reason }
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Decodes a hash from hex; undefined if the value is not one. */
function hashOf(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' && value.length === 2 * hashBytes ? fromHex(value) : undefined
}

/** Decodes a list of hashes from hex. Undefined if it is invalid or longer than any proof. */
function hashesOf(value: unknown): Uint8Array[] | undefined {
  if (!Array.isArray(value) || value.length > proofHashesMax) return undefined
  const hashes = Array.from(value, hashOf)
  return hashes.every((hash) => hash !== undefined) ? hashes : undefined
}
