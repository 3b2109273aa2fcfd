import { verifySignedCheckpoint } from '../merkle/checkpoint.ts'
import { isRecord } from '../merkle/entry-line.ts'
import { toHex } from '../merkle/hash.ts'
import { parseVkey } from '../merkle/vkey.ts'
import { type Failed, failed, guarded } from './result.ts'
import { sha256 } from './values.ts'

/**
 * Whom the caller trusts for the heads of a ledger. `vkey` is the ledger's verifier key line, known from elsewhere: a key
 * that came with the claim proves nothing about it.
 */
export type Trust = { readonly vkey: string }

/** A tree head that the key signed. */
export type VerifiedCheckpoint = { ok: true; origin: string; size: number; root: string }

/** Verifies a checkpoint (a signed note). `trust` may be the key line alone. The returned root is in hex. */
export function verifyCheckpoint(note: unknown, trust: string | Trust): Promise<VerifiedCheckpoint | Failed> {
  return guarded(() => signedHead(note, trust))
}

/** As `verifyCheckpoint`, for callers that are guarded themselves and whose trust may have any value. */
export async function signedHead(note: unknown, trust: unknown): Promise<VerifiedCheckpoint | Failed> {
  const vkey = isRecord(trust) ? trust.vkey : trust
  if (typeof vkey !== 'string') return failed('key', 'there is no key to verify the checkpoint with')
  if (typeof note !== 'string') return failed('checkpoint', 'there is no checkpoint')
  const key = await parseVkey(vkey, sha256)
  if (!key.ok) return failed('key', key.reason)
  const publicKey = await importKey(key.value.publicKey)
  if (!publicKey.ok) return publicKey
  const checkpoint = await verifySignedCheckpoint(note, key.value, (_, message, signature) =>
    crypto.subtle.verify('Ed25519', publicKey.value, signature, message),
  )
  if (!checkpoint.ok) return failed('checkpoint', checkpoint.reason)
  return { ok: true, ...checkpoint.value, root: toHex(checkpoint.value.root) }
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
