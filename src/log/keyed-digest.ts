import { createHmac, randomBytes } from 'node:crypto'

/** A new secret for the digests of one ledger. */
export function newDigestKey(): Uint8Array {
  return randomBytes(32)
}

/**
 * A digest (hex) as an entry states it: HMAC-SHA-256 under the ledger's secret. Whoever has the entry alone cannot use it
 * to try guesses of what was digested. The same digest always gives the same result.
 */
export function keyedDigest(key: Uint8Array, sha256: string): string {
  return createHmac('sha256', key).update(`lockstep/request/v1\0${sha256}`).digest('hex')
}
