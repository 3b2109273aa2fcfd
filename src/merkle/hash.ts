/** A synchronous SHA-256. It must not keep its input, because the caller may reuse that buffer. */
export type HashSync = (bytes: Uint8Array) => Uint8Array

/** A SHA-256 that is synchronous (Node) or asynchronous (WebCrypto in a browser). Its input is never reused. */
export type Hash = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

/** The length of every hash in bytes. */
export const hashBytes = 32

/**
 * The hash of a leaf, SHA-256(0x00 ‖ entry) (RFC 6962 §2.1). It runs once for every appended entry, so it reuses a
 * buffer. Entries larger than any in a ledger get a new buffer.
 */
export function leafHash(entry: Uint8Array, hash: HashSync): Uint8Array {
  if (entry.length >= leafScratch.length) return hash(concatBytes([0x00], entry))
  leafScratch.set(entry, 1)
  return hash(leafScratch.subarray(0, 1 + entry.length))
}

/**
 * The hash of an inner node, SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1). It also reuses a buffer. **Errors**:
 * RangeError if a child is not 32 bytes, because the buffer would otherwise keep earlier bytes.
 */
export function nodeHash(left: Uint8Array, right: Uint8Array, hash: HashSync): Uint8Array {
  if (left.length !== hashBytes || right.length !== hashBytes) throw new RangeError('a child is not 32 bytes')
  nodeScratch.set(left, 1)
  nodeScratch.set(right, 1 + hashBytes)
  return hash(nodeScratch)
}

const leafScratch = new Uint8Array(1 + 32 * 1024)
const nodeScratch = new Uint8Array(1 + 2 * hashBytes)
nodeScratch[0] = 0x01

/** The leaf hash by a possibly asynchronous hash, which must not share a buffer. */
export function leafHashLater(entry: Uint8Array, hash: Hash): Uint8Array | Promise<Uint8Array> {
  return hash(concatBytes([0x00], entry))
}

/** The node hash by a possibly asynchronous hash. */
export function nodeHashLater(left: Uint8Array, right: Uint8Array, hash: Hash): Uint8Array | Promise<Uint8Array> {
  return hash(concatBytes([0x01], left, right))
}

/** Concatenates byte strings. */
export function concatBytes(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Whether any value is a hash. */
export function isHash(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === hashBytes
}

/** Whether two byte strings are equal. Hashes are public, so the comparison need not take constant time. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let at = 0; at < left.length; at += 1) if (left[at] !== right[at]) return false
  return true
}

/** Encodes bytes as lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += hexOfByte[byte]
  return text
}

/** Decodes lower-case hex. Any other text gives undefined, so that each value has only one text. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16))
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Encodes bytes as standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    for (let shift = 18; shift >= 0; shift -= 6) text += base64Alphabet[(group >> shift) & 63]
  }
  const padding = (3 - (bytes.length % 3)) % 3
  return text.slice(0, text.length - padding) + '='.repeat(padding)
}

/** Decodes standard base64. Returns undefined for any text that `toBase64` would not write (RFC 4648 §3.5). */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined
  const digits = text.replace(/=+$/, '')
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4))
  let bits = 0
  let bitCount = 0
  let at = 0
  for (const digit of digits) {
    bits = ((bits << 6) | base64Alphabet.indexOf(digit)) & 0xfff
    bitCount += 6
    if (bitCount < 8) continue
    bitCount -= 8
    bytes[at++] = (bits >> bitCount) & 0xff
  }
  // Wrong padding and stray bits in the last digit give a different text when encoded again.
  return toBase64(bytes) === text ? bytes : undefined
}

const base64Alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
