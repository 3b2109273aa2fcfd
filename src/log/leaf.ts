import { invariant } from '../errors.ts'
import { assertCanonical } from '../kernel/canonical.ts'
import type { Entry } from '../kernel/entry.ts'
import { sha256 } from './sha256.ts'
import { decodeEntry } from './keyed/rows/codec.ts'

/** The leaf hash of an entry: SHA-256(0x00 ‖ RFC 8785 text). */
export function leafHashOf(entry: Entry): Uint8Array {
  return leafHashOfText(JSON.stringify(entry))
}

/**
 * The leaf hash of an entry's text. U+0000 is encoded as the single byte 0x00. Hashing a string is faster than hashing
 * bytes made from it.
 */
export function leafHashOfText(text: string): Uint8Array {
  return sha256(`\0${text}`)
}

/** A debugging check: the stored bytes must read back as exactly the hashed text, and that text must be RFC 8785. */
export function assertStoredAsHashed(entry: Entry, text: string, key: Uint8Array, value: Uint8Array): void {
  assertCanonical(entry)
  invariant(JSON.stringify(decodeEntry(key, value)) === text, `entry ${entry.seq} reads back as it was hashed`)
}
