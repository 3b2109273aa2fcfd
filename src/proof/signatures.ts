import type { VerifySignature } from '../merkle/note.ts'
import { failed } from './result.ts'

/** Whether a signature is of this raw key, by WebCrypto. A key that the platform cannot use signed nothing. */
export const isSignatureOf: VerifySignature = async (publicKey, message, signature) => {
  const key = await importKey(publicKey)
  return key.ok && crypto.subtle.verify('Ed25519', key.value, new Uint8Array(signature), new Uint8Array(message))
}

/** The key for WebCrypto. It fails if the platform lacks Ed25519, or if the bytes are not a point on its curve. */
export async function importKey(publicKey: Uint8Array) {
  try {
    const value = await crypto.subtle.importKey('raw', new Uint8Array(publicKey), 'Ed25519', false, ['verify'])
    return { ok: true as const, value }
  } catch (error) {
    return error instanceof Error && error.name === 'NotSupportedError'
      ? failed('platform', 'WebCrypto here does not support Ed25519; newer browsers do')
      : failed('key', 'the key is not a point on the curve of Ed25519')
  }
}
