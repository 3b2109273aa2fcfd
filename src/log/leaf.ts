import { sha256 } from './sha256.ts'

/**
 * The leaf hash of an entry's text: SHA-256(0x00 ‖ RFC 8785 text). U+0000 is encoded as the single byte 0x00. Hashing a
 * string is faster than hashing bytes made from it.
 */
export function leafHashOfText(text: string): Uint8Array {
  return sha256(`\0${text}`)
}
