import { concatBytes, fromBase64, fromHex, type Hash, type HashSync, sameBytes, toBase64, toHex } from './hash.ts'

/** A public Ed25519 key and its name. `keyId` is 4 bytes derived from both. */
export type Vkey = { readonly name: string; readonly keyId: Uint8Array; readonly publicKey: Uint8Array }

type NamedKey = Pick<Vkey, 'name' | 'publicKey'>

/** The value parsed from a text, or the reason why the text is invalid. */
export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string }

/** The length in bytes of a raw Ed25519 public key (RFC 8032). */
const publicKeyBytes = 32

/**
 * The type byte of a key, by what it signs: an Ed25519 signature over a note's text (C2SP signed-note), or a timestamped
 * Ed25519 cosignature of a witness (C2SP tlog-cosignature).
 */
export const keyTypes = { note: 0x01, cosignature: 0x04 } as const
export type KeyType = (typeof keyTypes)[keyof typeof keyTypes]
const keyIdBytes = 4
const vkeyCharsMax = 1_000

/**
 * The line `name+hex(keyId)+base64(type ‖ publicKey)` without a newline, as read by Go's note package. **Errors**:
 * RangeError if the name is not a valid key name or the key is not 32 bytes.
 */
export function formatVkey(key: NamedKey, hash: HashSync, type: KeyType = keyTypes.note): string {
  const line = `${key.name}+${toHex(keyIdOf(key, hash, type))}+${toBase64(typedKey(key.publicKey, type))}`
  if (line.length > vkeyCharsMax) throw new RangeError(`a key line of ${line.length} characters is too long`)
  return line
}

/**
 * Parses only what `formatVkey` writes for a key of this type: lower-case hex, canonical base64, and a key id that
 * matches the key.
 */
export async function parseVkey(line: string, hash: Hash, type: KeyType = keyTypes.note): Promise<Parsed<Vkey>> {
  if (line.length > vkeyCharsMax) return { ok: false, reason: 'the key is too long' }
  const [name = '', idText = '', ...rest] = line.split('+')
  // The base64 may contain a plus; the name may not.
  const typed = fromBase64(rest.join('+'))
  const keyId = fromHex(idText)
  if (!isKeyName(name) || keyId?.length !== keyIdBytes || typed === undefined || typed.length === 0) {
    return { ok: false, reason: 'the key is not of the form name+id+base64' }
  }
  const publicKey = typed.slice(1)
  if (typed[0] !== type || publicKey.length !== publicKeyBytes) {
    const kind = type === keyTypes.note ? 'an Ed25519 key' : 'an Ed25519 key for cosignatures'
    return { ok: false, reason: `the key is not ${kind}` }
  }
  const digest = await hash(keyIdInput({ name, publicKey }, type))
  if (!sameBytes(digest.subarray(0, keyIdBytes), keyId)) {
    return { ok: false, reason: 'the key id does not belong to this name and key' }
  }
  return { ok: true, value: { name, keyId, publicKey } }
}

/**
 * The 4 bytes that identify a key in a signature: the first bytes of SHA-256(name ‖ 0x0A ‖ type ‖ publicKey).
 * **Errors**: as for `formatVkey`.
 */
export function keyIdOf(key: NamedKey, hash: HashSync, type: KeyType = keyTypes.note): Uint8Array {
  return Uint8Array.from(hash(keyIdInput(key, type)).subarray(0, keyIdBytes))
}

/**
 * Whether a text is a valid key name: well-formed, not empty, and without any kind of space, plus or control character.
 */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}\p{Cc}\p{Cs}+]/u.test(name)
}

function keyIdInput(key: NamedKey, type: KeyType): Uint8Array {
  if (!isKeyName(key.name)) throw new RangeError(`"${key.name}" is not a valid key name`)
  return concatBytes(new TextEncoder().encode(key.name), [0x0a], typedKey(key.publicKey, type))
}

function typedKey(publicKey: Uint8Array, type: KeyType): Uint8Array {
  if (publicKey.length !== publicKeyBytes) throw new RangeError(`an Ed25519 key must be ${publicKeyBytes} bytes`)
  return concatBytes([type], publicKey)
}
