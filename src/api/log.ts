import type { Entry } from '../kernel/entry.ts'
import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { entry, type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/log.ts'

/** The head: how far the ledger has come, and the hash over all of it. */
export interface HeadApi {
  /** The published tree head. */
  get(input?: Nothing, options?: CallOptions): Promise<shapes.PublishedHead>
  /** The tree head as a signed checkpoint, now or at an earlier size. */
  signed(input?: shapes.SignHead, options?: CallOptions): Promise<shapes.SignedHead>
}

/** The log: the entries themselves and their proofs. */
export interface LogApi {
  /** The entry at a seq. */
  entry(input: shapes.OfEntry, options?: CallOptions): Promise<Entry>
  /** Published entries from `from` up to but not including `to`. The range ends at the size at the time of the call. */
  read(input?: shapes.ReadEntries, options?: CallOptions): AsyncIterable<Entry>
  /**
   * Entries from `from` on, by default from the next one, without end, at the reader's pace. Never skips and never
   * repeats an entry. Ends without an error when the signal aborts.
   */
  subscribe(input?: shapes.FollowEntries, options?: CallOptions): AsyncIterable<Entry>
  /** A proof that an entry is in the tree of a size, by default the whole tree. */
  prove(input: shapes.ProveEntry, options?: CallOptions): Promise<shapes.EntryProof>
  /** A proof that the tree of `to` entries begins with the tree of `from` entries. */
  consistency(input: shapes.CompareSizes, options?: CallOptions): Promise<shapes.ConsistencyProof>
  /** Reads all entries again and compares everything that derives from them. Cost: one pass over the store. */
  verify(input?: Nothing, options?: CallOptions): Promise<shapes.VerifiedLedger>
  /**
   * Writes a backup of the whole ledger to a new file, and verifies every byte of it, while others use the ledger.
   * Cost: two passes over the store.
   */
  backup(input: shapes.WriteBackup, options?: CallOptions): Promise<shapes.BackedUpLedger>
  /**
   * Ends the ledger in this place: its last entry names the place that goes on with it, and the head with this entry is
   * signed. From then on every command is refused, and reading goes on. `lockstep migrate` calls it. Cost: one append.
   */
  seal(input: shapes.SealLedger, options?: CallOptions): Promise<shapes.SealedLedger>
}

const keyErrors = ['KEY_MISSING', 'KEY_NOT_IN_FORCE', 'SIGNER_FAILED', 'FILE_DENIED', 'FILE_FAILED'] as const

export const head: Operations<HeadApi> = {
  get: {
    kind: 'query',
    summary: 'Shows the published tree head.',
    input: nothing,
    output: shapes.head,
    errors: [],
    grants: anyGrant,
  },
  signed: {
    kind: 'query',
    summary: 'Shows the tree head as a signed checkpoint.',
    input: shapes.signHead,
    output: shapes.signedHead,
    errors: keyErrors,
    grants: anyGrant,
  },
}

export const log: Operations<LogApi> = {
  entry: {
    kind: 'query',
    summary: 'Shows the entry at a seq.',
    input: shapes.ofEntry,
    output: entry,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  read: {
    kind: 'stream',
    summary: 'Reads a range of entries.',
    input: shapes.read,
    output: entry,
    errors: [],
    grants: anyGrant,
  },
  subscribe: {
    kind: 'stream',
    summary: 'Follows the entries without end.',
    input: shapes.subscribe,
    output: entry,
    errors: [],
    grants: anyGrant,
    waits: () => true,
  },
  prove: {
    kind: 'query',
    summary: 'Proves that an entry is in the ledger.',
    input: shapes.prove,
    output: shapes.proof,
    errors: [...keyErrors, 'NOT_FOUND'],
    grants: anyGrant,
  },
  consistency: {
    kind: 'query',
    summary: 'Proves that a later tree begins with an earlier one.',
    input: shapes.compare,
    output: shapes.consistency,
    errors: [],
    grants: anyGrant,
  },
  verify: {
    kind: 'query',
    summary: 'Reads all entries again and compares everything that derives from them.',
    input: nothing,
    output: shapes.verified,
    errors: ['VERIFY_FAILED'],
    grants: anyGrant,
    waits: () => true,
  },
  backup: {
    kind: 'command',
    summary: 'Writes a verified backup of the whole ledger to a new file.',
    input: shapes.backup,
    output: shapes.backedUp,
    errors: ['VERIFY_FAILED', 'NOT_FOUND', ...keyErrors, 'FILE_READ_ONLY'],
    grants: ['operator'],
    isForSealed: true,
    waits: () => true,
  },
  seal: {
    kind: 'command',
    summary: 'Ends the ledger in this place, because it goes on in another.',
    input: shapes.seal,
    output: shapes.sealed,
    errors: [...keyErrors, 'SEAL_DENIED', 'FILE_READ_ONLY'],
    grants: ['operator'],
    isForSealed: true,
  },
}
