import { hash } from 'node:crypto'

/**
 * SHA-256 of bytes or of a text's UTF-8, in one call to Node. It requests the digest as a string, because a Buffer
 * costs twice as much.
 */
export function sha256(input: Uint8Array | string): Uint8Array {
  return Buffer.from(hash('sha256', input, 'binary'), 'latin1')
}
