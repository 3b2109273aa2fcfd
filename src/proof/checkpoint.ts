import { isRecord } from '../merkle/entry-line.ts'
import { toHex } from '../merkle/hash.ts'
import { keysFrom, verifyHeadByKeys } from '../merkle/keys.ts'
import type { VerifySignature } from '../merkle/note.ts'
import { parseVkey } from '../merkle/vkey.ts'
import { type Failed, failed, guarded } from './result.ts'
import { sha256 } from './values.ts'

/**
 * Whom the caller trusts for the heads of a ledger. `vkey` is the ledger's verifier key line, known from elsewhere: a key
 * that came with the claim proves nothing about it. It may also be the text of `key.pub`, whose further lines are signed
 * statements about keys that were added and retired.
 */
export type Trust = { readonly vkey: string }

/** A tree head that a key signed which was in force at its size. */
export type VerifiedCheckpoint = { ok: true; origin: string; size: number; root: string }

/**
 * Verifies a checkpoint (a signed note). `trust` may be the key alone. The returned root is in hex. A key signs only the
 * sizes at which it was in force.
 */
export function verifyCheckpoint(note: unknown, trust: string | Trust): Promise<VerifiedCheckpoint | Failed> {
  return guarded(() => signedHead(note, trust))
}

/**
 * As `verifyCheckpoint`, for callers that are guarded themselves and whose trust may have any value. `claimed` is the key
 * that came with the claim: its statements are followed from the trusted key.
 */
export async function signedHead(
  note: unknown,
  trust: unknown,
  claimed?: unknown,
): Promise<VerifiedCheckpoint | Failed> {
  const vkey = isRecord(trust) ? trust.vkey : trust
  if (typeof vkey !== 'string') return failed('key', 'there is no key to verify the checkpoint with')
  if (typeof note !== 'string') return failed('checkpoint', 'there is no checkpoint')
  const parsed = await parseVkey(vkey.split('\n')[0] ?? '', sha256)
  if (!parsed.ok) return failed('key', parsed.reason)
  // A key that this platform cannot use is named before any signature by it.
  const usable = await importKey(parsed.value.publicKey)
  if (!usable.ok) return usable
  const keys = await keysFrom(vkey, { hash: sha256, verify }, typeof claimed === 'string' ? claimed : undefined)
  if (!keys.ok) return failed('key', keys.reason)
  const checkpoint = await verifyHeadByKeys(note, keys.value, verify)
  if (!checkpoint.ok) return failed('checkpoint', checkpoint.reason)
  return { ok: true, ...checkpoint.value, root: toHex(checkpoint.value.root) }
}

const verify: VerifySignature = async (publicKey, message, signature) => {
  const key = await importKey(publicKey)
  return key.ok && crypto.subtle.verify('Ed25519', key.value, new Uint8Array(signature), new Uint8Array(message))
}

/** The key for WebCrypto. It fails if the platform lacks Ed25519, or if the bytes are not a point on its curve. */
async function importKey(publicKey: Uint8Array) {
  try {
    const value = await crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify'])
    return { ok: true as const, value }
  } catch (error) {
    return error instanceof Error && error.name === 'NotSupportedError'
      ? failed('platform', 'WebCrypto here does not support Ed25519; newer browsers do')
      : failed('key', 'the key is not a point on the curve of Ed25519')
  }
}
