import { fromHex, type Hash, hashBytes } from '../merkle/hash.ts'
import { proofHashesMax } from '../merkle/proofs.ts'

/** SHA-256 by WebCrypto. */
export const sha256: Hash = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))

/** The bytes of a text in UTF-8. */
export const utf8 = (text: string) => new TextEncoder().encode(text)

/** Whether a value is a size or seq: a whole number from 0 on. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Decodes a hash from hex; undefined if the value is not one. */
export function hashOf(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' && value.length === 2 * hashBytes ? fromHex(value) : undefined
}

/** Decodes a list of hashes from hex. Undefined if it is invalid or longer than any proof. */
export function hashesOf(value: unknown): Uint8Array[] | undefined {
  if (!Array.isArray(value) || value.length > proofHashesMax) return undefined
  // By place, not by iterator: a proxy may yield without end.
  const hashes = Array.from({ length: value.length }, (_, at) => hashOf(value[at]))
  return hashes.every((hash) => hash !== undefined) ? hashes : undefined
}
