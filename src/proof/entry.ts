import { entryLine, isRecord, isWellFormed } from '../merkle/entry-line.ts'
import { leafHashLater, toHex } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/proofs.ts'
import { signedHead, type Trust } from './checkpoint.ts'
import { disclosedIn } from './disclosures.ts'
import { type Failed, failed, guarded } from './result.ts'
import { hashesOf, hashOf, isSize, sha256, utf8 } from './values.ts'
import type { Witnessed } from './witnesses.ts'

/**
 * An entry that was proven to be in a tree. `authenticity` is checked only if the caller passed a key. `texts` are its
 * free texts that the document discloses; `withheld` are the paths of those that were held back or erased.
 */
export type VerifiedProof = {
  ok: true
  seq: number
  size: number
  root: string
  leaf_hash: string
  authenticity: 'checked' | 'unchecked'
  texts: { path: string; text: string }[]
  withheld: string[]
  /** The witnesses that cosigned the checkpoint, if the caller has a policy. */
  witnesses?: Witnessed[]
}

/** An entry that was proven to be in a tree, without a look at who signed the tree and at its free texts. */
export type VerifiedEntry = Omit<VerifiedProof, 'authenticity' | 'texts' | 'withheld' | 'witnesses'>

/**
 * Verifies the document that `lockstep prove <seq> --json` prints: `{ seq, size, root, leaf_hash, proof, entry,
 * disclosures?, checkpoint?, vkey? }`, with hashes in hex. A checkpoint must be signed and contain this size and root. The
 * key inside the document does not prove who wrote it. So `authenticity` is checked only with `options.vkey`, and a
 * checkpoint is then required. Options with a key that is undefined are refused, because their author meant to check.
 */
export function verifyProof(document: unknown, options?: Trust): Promise<VerifiedProof | Failed> {
  return guarded(() => proven(document, options))
}

async function proven(document: unknown, options: Trust | undefined): Promise<VerifiedProof | Failed> {
  if (!isRecord(document)) return failed('document', 'the document is not an object')
  const { seq, size, root, leaf_hash, proof, entry, checkpoint, disclosures = [] } = document
  if (hashOf(leaf_hash) === undefined) return failed('document', 'leaf_hash is not 32 bytes in hex')
  const line = entryLine(entry)
  if (line === undefined) return failed('entry', 'the entry cannot be from a ledger')
  if (!isRecord(entry) || entry.seq !== seq) return failed('entry', 'the entry has a different seq')
  const leaf = await leafHashOf(line)
  if (leaf !== leaf_hash) return failed('leaf_hash', 'leaf_hash is not the leaf hash of the entry')
  const verified = await included({ line, seq, size, proof, root })
  if (!verified.ok) return verified

  const disclosed = await disclosedIn(entry, disclosures)
  if (!disclosed.ok) return disclosed

  const authenticity = options === undefined ? 'unchecked' : 'checked'
  const { texts, withheld } = disclosed
  const result: VerifiedProof = { ...verified, authenticity, texts, withheld }
  if (checkpoint === undefined && options === undefined) return result
  const trust = options === undefined ? document.vkey : options
  const head = await signedHead(checkpoint, trust, document.vkey)
  if (!head.ok) return head
  if (head.size !== verified.size || head.root !== verified.root) {
    return failed('checkpoint', 'the size or root of the checkpoint differs from the proof')
  }
  return { ...result, ...(head.witnesses === undefined ? {} : { witnesses: head.witnesses }) }
}

/**
 * Verifies that an entry is at `seq` in the tree with this root. `line` is its canonical JSON line without the newline,
 * and hashes are in hex. Members may have any value, because they come from outside.
 */
export function verifyEntry(claim: EntryClaim): Promise<VerifiedEntry | Failed> {
  return guarded(() => included(claim))
}

/** What `verifyEntry` is asked about. */
export interface EntryClaim {
  line: unknown
  seq: unknown
  size: unknown
  proof: unknown
  root: unknown
}

/** As `verifyEntry`, for callers that are guarded themselves. */
export async function included(claim: EntryClaim): Promise<VerifiedEntry | Failed> {
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

/** The leaf hash, in hex, of an entry's canonical JSON line without the newline. */
export async function leafHashOf(line: string): Promise<string> {
  return toHex(await leafHashLater(utf8(line), sha256))
}
