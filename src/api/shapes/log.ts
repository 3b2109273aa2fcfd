import * as z from 'zod'
import { placeSchema } from '../../domain/log/seal.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { hints } from '../hints.ts'
import { entry, hash, path, seq, size } from './basics.ts'

export const signHead = z.strictObject({ size: size.optional() })
export interface SignHead extends z.input<typeof signHead> {}

export const prove = z.strictObject({ seq, size: size.optional() })
export interface ProveEntry extends z.input<typeof prove> {}

export const compare = z.strictObject({ from: size, to: size.optional() })
export interface CompareSizes extends z.input<typeof compare> {}

export const ofEntry = z.strictObject({ seq })
export interface OfEntry extends z.input<typeof ofEntry> {}

export const read = z.strictObject({ from: seq.default(0), to: seq.default(Number.MAX_SAFE_INTEGER) })
export interface ReadEntries extends z.input<typeof read> {}

export const subscribe = z.strictObject({ from: seq.optional() })
export interface FollowEntries extends z.input<typeof subscribe> {}

export const head = z.strictObject({ origin: z.string(), root: hash, size })
/** The tree head: a name for the ledger, the number of entries, and the hash over all of them. */
export interface PublishedHead extends z.output<typeof head> {}

export const signedHead = z.strictObject({ checkpoint: z.string(), root: hash, size, vkey: z.string() })
/** A tree head as a C2SP checkpoint, and the key line that verifies it. */
export interface SignedHead extends z.output<typeof signedHead> {}

/** A free text and the salt of its commitment. `path` is an RFC 6901 pointer into the entry. */
const disclosure = z.strictObject({ path: z.string(), salt: hash, text: z.string() })

export const proof = z.strictObject({
  checkpoint: z.string(),
  disclosures: z.array(disclosure),
  entry,
  leaf_hash: hash,
  proof: z.array(hash),
  root: hash,
  seq,
  size,
  vkey: z.string(),
})
/**
 * An entry as it is hashed, with its inclusion proof and a signed head: `lockstep/verify` checks it offline.
 * `disclosures` are its free texts, which the entry has commitments to.
 */
export interface EntryProof extends z.output<typeof proof> {}

export const consistency = z.strictObject({
  from: size,
  from_root: hash,
  proof: z.array(hash),
  to: size,
  to_root: hash,
})
/** A proof that the tree of size `to` begins with the tree of size `from`. */
export interface ConsistencyProof extends z.output<typeof consistency> {}

export const verified = z.strictObject({
  entries: size,
  indexed: size,
  root: hash,
  rows: z.int().min(0),
  size,
  warnings: z.array(z.string()),
})
/** `warnings` are about files that somebody edited, not about the ledger itself. */
export interface VerifiedLedger extends z.output<typeof verified> {}

export const backup = z.strictObject({ file: path })
export interface WriteBackup extends z.input<typeof backup> {}

export const backedUp = z.strictObject({
  bytes: z.int().min(0),
  checkpoint: z.string(),
  file: z.string(),
  origin: z.string(),
  root: hash,
  sha256: hash,
  size,
})
/** A backup that was written, with the signed tree head of the ledger in it. */
export interface BackedUpLedger extends z.output<typeof backedUp> {}

export const seal = z.strictObject({ actor: actorSchema.optional(), to: placeSchema })
export interface SealLedger extends z.input<typeof seal> {}

export const sealed = z.strictObject({ checkpoint: z.string(), root: hash, seq, size, to: placeSchema })
/** The end of a ledger in its place: the entry that says so, and the signed tree head with this entry as its last. */
export interface SealedLedger extends z.output<typeof sealed> {}

hints.add(backup, { file: { about: 'Where the backup goes. No file may be there yet.' } })
hints.add(backedUp, {
  file: { about: 'The backup.' },
  sha256: { about: 'The SHA-256 of the uncompressed archive.' },
  size: { about: 'The size of the ledger in the backup. Later entries are not part of it.' },
})
hints.add(compare, {
  from: { about: 'The earlier size.' },
  to: { about: 'The later size. By default the whole tree.' },
})
hints.add(consistency, { from: { about: 'The earlier size.' }, to: { about: 'The later size.' } })
hints.add(seal, { to: { about: 'The name of the place that goes on with the ledger.' } })
hints.add(sealed, {
  seq: { about: 'The entry that ends the ledger in its place.' },
  size: { about: 'The size of the ledger with that entry.' },
  to: { about: 'The name of the place that goes on with the ledger.' },
})
hints.add(subscribe, { from: { about: 'The first seq. By default the next entry that is appended.' } })
hints.add(verified, {
  entries: { about: 'How many entries were verified.' },
  size: { about: 'The size of the tree that was verified. Later entries are not part of it.' },
})
