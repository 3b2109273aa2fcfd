import { assertCanonical } from '../core/canonical.ts'
import type { Entry } from '../core/entry.ts'
import { invariant } from '../errors.ts'
import { decodeEntry } from './codec.ts'
import { sha256 } from './sha256.ts'

/** Leaf hash of an entry: SHA-256(0x00 ‖ its RFC 8785 text). */
export function leafHashOf(entry: Entry): Uint8Array {
  return leafHashOfText(JSON.stringify(entry))
}

/** Leaf hash of an entry's text. U+0000 is the one byte 0x00, and a string is hashed faster than bytes made of it. */
export function leafHashOfText(text: string): Uint8Array {
  return sha256(`\0${text}`)
}

/** The debug switch: what is stored must read back as exactly the text that was hashed, and that be RFC 8785. */
export function assertStoredAsHashed(entry: Entry, text: string, key: Uint8Array, value: Uint8Array): void {
  assertCanonical(entry)
  invariant(JSON.stringify(decodeEntry(key, value)) === text, `entry ${entry.seq} reads back as it was hashed`)
}
