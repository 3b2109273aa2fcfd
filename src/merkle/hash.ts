/** SHA-256, answered at once. It must not keep the bytes it is given: they may be a buffer that is reused. */
export type HashSync = (bytes: Uint8Array) => Uint8Array

/** SHA-256, answered at once (Node) or later (WebCrypto in a browser). It gets bytes of its own. */
export type Hash = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

/** Length of every hash. */
export const hashBytes = 32

/**
 * Hash of a leaf, SHA-256(0x00 ‖ entry) (RFC 6962 §2.1). It runs once for every entry appended, so it hashes from a
 * buffer that is reused, unless the entry is larger than a ledger's ever is.
 */
export function leafHash(entry: Uint8Array, hash: HashSync): Uint8Array {
  if (entry.length >= leafScratch.length) return hash(concatBytes([0x00], entry))
  leafScratch.set(entry, 1)
  return hash(leafScratch.subarray(0, 1 + entry.length))
}

/**
 * Hash of an inner node, SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1), from a buffer that is reused too.
 * **Errors**: RangeError where a child is not 32 bytes, for the buffer would keep what stood there before.
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

/** Leaf hash with a hash that answers later, which therefore may not share a buffer. */
export function leafHashLater(entry: Uint8Array, hash: Hash): Uint8Array | Promise<Uint8Array> {
  return hash(concatBytes([0x00], entry))
}

/** Node hash with a hash that answers later. */
export function nodeHashLater(left: Uint8Array, right: Uint8Array, hash: Hash): Uint8Array | Promise<Uint8Array> {
  return hash(concatBytes([0x01], left, right))
}

/** One byte string out of several. */
export function concatBytes(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Whether a value, from wherever it came, is a hash. */
export function isHash(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === hashBytes
}

/** Whether two byte strings are the same. Hashes are public, so the time it takes may tell where they differ. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let at = 0; at < left.length; at += 1) if (left[at] !== right[at]) return false
  return true
}

/** Lower-case hex of some bytes. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += hexOfByte[byte]
  return text
}

/** Bytes of lower-case hex, or undefined where it is anything else, so that one value has one text. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16))
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    for (let shift = 18; shift >= 0; shift -= 6) text += base64Alphabet[(group >> shift) & 63]
  }
  const padding = (3 - (bytes.length % 3)) % 3
  return text.slice(0, text.length - padding) + '='.repeat(padding)
}

/** Bytes of standard base64, or undefined where it is not exactly what `toBase64` writes (RFC 4648 §3.5). */
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
  // Padding that is too short or long, and stray bits in the last digit, show as another text.
  return toBase64(bytes) === text ? bytes : undefined
}

const base64Alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
