import { concatBytes, fromBase64, fromHex, type Hash, type HashSync, sameBytes, toBase64, toHex } from './hash.ts'

/** A public Ed25519 key and the name of who signs with it. `keyId` is 4 bytes derived from both. */
export type Vkey = { readonly name: string; readonly keyId: Uint8Array; readonly publicKey: Uint8Array }

/** What was read from a text, or why the text is not one. */
export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string }

/** Bytes of a raw Ed25519 public key (RFC 8032). */
const publicKeyBytes = 32

/** The type byte of an Ed25519 signature (C2SP signed-note). */
const ed25519Type = 0x01
const keyIdBytes = 4
const vkeyCharsMax = 1_000

/**
 * The line `name+hex(keyId)+base64(0x01 ‖ publicKey)` that Go's note package reads, without a newline.
 * **Errors**: RangeError where the name cannot be a key's or the key is not 32 bytes.
 */
export function formatVkey(key: { name: string; publicKey: Uint8Array }, hash: HashSync): string {
  const line = `${key.name}+${toHex(keyIdOf(key, hash))}+${toBase64(typedKey(key.publicKey))}`
  if (line.length > vkeyCharsMax) throw new RangeError(`a key line of ${line.length} characters is too long`)
  return line
}

/** Reads what `formatVkey` writes, and nothing else: lower-case hex, canonical base64, a key id that fits the key. */
export async function parseVkey(line: string, hash: Hash): Promise<Parsed<Vkey>> {
  if (line.length > vkeyCharsMax) return { ok: false, reason: 'the key is too long' }
  const [name = '', idText = '', ...rest] = line.split('+')
  // The base64 may hold a plus of its own; the name may not.
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
 * The 4 bytes that name a key in a signature: the first of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ publicKey).
 * **Errors** as `formatVkey`.
 */
export function keyIdOf(key: { name: string; publicKey: Uint8Array }, hash: HashSync): Uint8Array {
  return Uint8Array.from(hash(keyIdInput(key)).subarray(0, keyIdBytes))
}

/** Whether a text can name a key: well-formed, not empty, without a space of any kind, plus or control character. */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}\p{Cc}\p{Cs}+]/u.test(name)
}

function keyIdInput(key: { name: string; publicKey: Uint8Array }): Uint8Array {
  if (!isKeyName(key.name)) throw new RangeError(`"${key.name}" cannot name a key`)
  return concatBytes(new TextEncoder().encode(key.name), [0x0a], typedKey(key.publicKey))
}

function typedKey(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== publicKeyBytes) throw new RangeError(`an Ed25519 key is ${publicKeyBytes} bytes`)
  return concatBytes([ed25519Type], publicKey)
}
