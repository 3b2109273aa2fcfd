import { concatBytes, fromBase64, fromHex, type Hash, type HashSync, sameBytes, toBase64, toHex } from './hash.ts'

/** A public Ed25519 key and its name. `keyId` is 4 bytes derived from both. */
export type Vkey = { readonly name: string; readonly keyId: Uint8Array; readonly publicKey: Uint8Array }

/** The value parsed from a text, or the reason why the text is invalid. */
export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string }

/** The length in bytes of a raw Ed25519 public key (RFC 8032). */
const publicKeyBytes = 32

/** The type byte of an Ed25519 signature (C2SP signed-note). */
const ed25519Type = 0x01
const keyIdBytes = 4
const vkeyCharsMax = 1_000

/**
 * The line `name+hex(keyId)+base64(0x01 ‖ publicKey)` without a newline, as read by Go's note package. **Errors**:
 * RangeError if the name is not a valid key name or the key is not 32 bytes.
 */
export function formatVkey(key: { name: string; publicKey: Uint8Array }, hash: HashSync): string {
  const line = `${key.name}+${toHex(keyIdOf(key, hash))}+${toBase64(typedKey(key.publicKey))}`
  if (line.length > vkeyCharsMax) throw new RangeError(`a key line of ${line.length} characters is too long`)
  return line
}

/** Parses only what `formatVkey` writes: lower-case hex, canonical base64, and a key id that matches the key. */
export async function parseVkey(line: string, hash: Hash): Promise<Parsed<Vkey>> {
  if (line.length > vkeyCharsMax) return { ok: false, reason: 'the key is too long' }
  const [name = '', idText = '', ...rest] = line.split('+')
  // The base64 may contain a plus; the name may not.
  const typed = fromBase64(rest.join('+'))
  const keyId = fromHex(idText)
  if (!isKeyName(name) || keyId?.length !== keyIdBytes || typed === undefined || typed.length === 0) {
    return { ok: false, reason: 'the key is not of the form name+id+base64' }
  }
  const publicKey = typed.slice(1)
  if (typed[0] !== ed25519Type || publicKey.length !== publicKeyBytes) {
    return { ok: false, reason: 'the key is not an Ed25519 key' }
  }
  const digest = await hash(keyIdInput({ name, publicKey }))
  if (!sameBytes(digest.subarray(0, keyIdBytes), keyId)) {
    return { ok: false, reason: 'the key id does not belong to this name and key' }
  }
  return { ok: true, value: { name, keyId, publicKey } }
}

/**
 * The 4 bytes that identify a key in a signature: the first bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ publicKey).
 * **Errors**: as for `formatVkey`.
 */
export function keyIdOf(key: { name: string; publicKey: Uint8Array }, hash: HashSync): Uint8Array {
  return Uint8Array.from(hash(keyIdInput(key)).subarray(0, keyIdBytes))
}

/**
 * Whether a text is a valid key name: well-formed, not empty, and without any kind of space, plus or control character.
 */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}\p{Cc}\p{Cs}+]/u.test(name)
}

function keyIdInput(key: { name: string; publicKey: Uint8Array }): Uint8Array {
  if (!isKeyName(key.name)) throw new RangeError(`"${key.name}" is not a valid key name`)
  return concatBytes(new TextEncoder().encode(key.name), [0x0a], typedKey(key.publicKey))
}

function typedKey(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== publicKeyBytes) throw new RangeError(`an Ed25519 key must be ${publicKeyBytes} bytes`)
  return concatBytes([ed25519Type], publicKey)
}
