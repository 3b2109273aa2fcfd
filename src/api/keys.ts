import type { CallOptions, Operations, TokenGrant } from './operation.ts'
import { anyGrant } from './operation.ts'
import { type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/keys.ts'

/** Keys: what signs the ledger's tree heads (ADR 0067). */
export interface KeysApi {
  /**
   * Replaces lost keys by a new one. The kept checkpoint must be signed by a lost key, and the ledger must extend it.
   * Verifiers accept the new key only from whoever gave them the old one. Cost: one append.
   */
  adopt(input: shapes.AdoptKey, options?: CallOptions): Promise<shapes.ChangedKey>
  /** The keys that the ledger has and had, oldest first. */
  list(input?: Nothing, options?: CallOptions): Promise<shapes.KeyList>
  /** Ends one of the two keys in force. Its private key is deleted. Cost: one append. */
  retire(input?: shapes.RetireKey, options?: CallOptions): Promise<shapes.ChangedKey>
  /** Adds a new key. Both keys sign until one of them is retired. Cost: one append, and the sync of the key's file. */
  rotate(input?: shapes.RotateKey, options?: CallOptions): Promise<shapes.ChangedKey>
}

const grants: readonly TokenGrant[] = ['operator']
const changeErrors = [
  'KEY_DENIED',
  'KEY_CONFLICT',
  'SIGNER_FAILED',
  'DISK_FULL',
  'FILE_DENIED',
  'FILE_FAILED',
  'FILE_READ_ONLY',
] as const

export const keys: Operations<KeysApi> = {
  adopt: {
    kind: 'command',
    summary: 'Replaces lost keys by a new one, against a checkpoint that was kept elsewhere.',
    input: shapes.adopt,
    output: shapes.changed,
    errors: [...changeErrors, 'VERIFY_FAILED'],
    grants,
  },
  list: {
    kind: 'query',
    summary: 'Lists the keys that the ledger has and had.',
    input: nothing,
    output: shapes.listed,
    errors: ['FILE_DENIED', 'FILE_FAILED'],
    grants: anyGrant,
  },
  retire: {
    kind: 'command',
    summary: 'Ends one of the two keys in force.',
    input: shapes.retire,
    output: shapes.changed,
    errors: [...changeErrors, 'KEY_MISSING'],
    grants,
  },
  rotate: {
    kind: 'command',
    summary: 'Adds a new key. Both keys sign until one of them is retired.',
    input: shapes.rotate,
    output: shapes.changed,
    errors: [...changeErrors, 'KEY_MISSING'],
    grants,
  },
}
