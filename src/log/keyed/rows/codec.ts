import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr/pack'
import type { LockstepError } from '../../../errors.ts'
import type { Entry } from '../../../kernel/entry.ts'
import { given } from '../../../kernel/given.ts'
import type { HeldText } from '../../../merkle/commitment.ts'
import { corrupt } from '../../corrupt.ts'
import { entryWithTexts, type StoredEntry } from '../../free-texts.ts'
import { entryKey, seqOfEntryKey } from './keys.ts'

// Plain maps only. With shared record structures, durable bytes could not be decoded without other bytes.
const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  variableMapSize: true,
})

const crcBytes = 4

// The buffer that msgpackr writes to. `seal` copies the result out immediately. Without it, msgpackr allocates 8 KiB
// for every few values.
const scratch = Buffer.allocUnsafeSlow(64 * 1024)

/** Encodes a value as MessagePack, followed by CRC-32(key ‖ value), big-endian. */
export function encode(key: Uint8Array, value: unknown): Buffer {
  packr.useBuffer(scratch)
  return seal(key, packr.pack(value))
}

/**
 * Encodes an entry twice. `value` is stored: the canonical text in UTF-8, then a newline and the free texts as JSON if
 * there are any, followed by the same checksum. `leaf` is hashed: 0x00 followed by the canonical text. Both share one
 * buffer, so the stored bytes are the hashed bytes (ADR 0012).
 */
export function encodeEntry(key: Uint8Array, { text, texts }: StoredEntry): { value: Uint8Array; leaf: Uint8Array } {
  const length = Buffer.byteLength(text)
  const after = texts === undefined ? '' : `\n${JSON.stringify(texts)}`
  const bytes = allocate(1 + length + Buffer.byteLength(after) + crcBytes)
  bytes[0] = 0x00
  bytes.write(text, 1)
  if (after !== '') bytes.write(after, 1 + length)
  return { value: close(key, bytes.subarray(1)), leaf: bytes.subarray(0, 1 + length) }
}

/** Appends the same checksum to raw bytes. */
export function seal(key: Uint8Array, bytes: Uint8Array): Buffer {
  const sealed = allocate(bytes.length + crcBytes)
  sealed.set(bytes, 0)
  return close(key, sealed)
}

function close(key: Uint8Array, sealed: Buffer): Buffer {
  const length = sealed.length - crcBytes
  sealed.writeUInt32BE(crc32(sealed.subarray(0, length), crc32(key)), length)
  return sealed
}

const chunkBytes = 256 * 1024
let chunk = Buffer.allocUnsafeSlow(chunkBytes)
let used = 0

/**
 * Allocates bytes that nothing else uses. The values of a batch come from a few large chunks; `allocUnsafe` uses chunks
 * of 8 KiB.
 */
function allocate(bytes: number): Buffer {
  if (bytes > chunkBytes / 8) return Buffer.allocUnsafeSlow(bytes)
  if (used + bytes > chunkBytes) {
    chunk = Buffer.allocUnsafeSlow(chunkBytes)
    used = 0
  }
  used += bytes
  return chunk.subarray(used - bytes, used)
}

/** Decodes the value under a key. Errors: LEDGER_CORRUPT if the bytes are not the ones that were written. */
export function decode<T>(key: Uint8Array, sealed: Uint8Array): T {
  const bytes = unseal(key, sealed)
  try {
    return packr.unpack(bytes) as T
  } catch (cause) {
    throw damaged(key, 'cannot be unpacked', cause)
  }
}

/** Decodes the entry under a key, with its free texts. Errors: as for `decode`. */
export function decodeEntry(key: Uint8Array, sealed: Uint8Array): Entry {
  const stored = decodeStored(key, sealed)
  return entryWithTexts(entryOfText(key, stored.text), stored)
}

/** What is stored under the key of an entry: its text exactly as it was hashed, and its free texts. Errors: as for `decode`. */
export function decodeStored(key: Uint8Array, sealed: Uint8Array): StoredEntry {
  const whole = unseal(key, sealed).toString()
  // The canonical text has no newline: inside a string it is escaped.
  const end = whole.indexOf('\n')
  if (end === -1) return { text: whole }
  const list = whole.slice(end + 1)
  const texts = parsedUnder(key, list) as HeldText[]
  // Other bytes could hide a text that no reader sees and no erasure finds.
  if (!Array.isArray(texts) || JSON.stringify(texts) !== list)
    throw damaged(key, 'has no list of texts in its only form')
  return { text: whole.slice(0, end), texts }
}

/** Parses the text under a key as an entry, in the form in which it is hashed. Errors: LEDGER_CORRUPT. */
export function entryOfText(key: Uint8Array, text: string): Entry {
  return parsedUnder(key, text) as Entry
}

function parsedUnder(key: Uint8Array, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw damaged(key, 'is not JSON', cause)
  }
}

export function unseal(key: Uint8Array, sealed: Uint8Array): Buffer {
  const buffer = sealed instanceof Buffer ? sealed : Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  const length = buffer.length - crcBytes
  if (length < 0) throw damaged(key, 'is too short')
  const bytes = buffer.subarray(0, length)
  if (crc32(bytes, crc32(key)) !== buffer.readUInt32BE(length)) throw damaged(key, 'fails its checksum')
  return bytes
}

/** Like `unseal`, but returns undefined if the read found nothing. */
export function unsealIfThere(key: Uint8Array, sealed: Uint8Array | undefined): Buffer | undefined {
  return sealed === undefined ? undefined : unseal(key, sealed)
}

function damaged(key: Uint8Array, what: string, cause?: unknown): LockstepError {
  const text = Buffer.from(key).toString('hex')
  const where = seqOf(key)
  return corrupt(`the value under key ${text} ${what}`, { check: 'bytes', key: text, ...given({ seq: where }) }, cause)
}

function seqOf(key: Uint8Array): number | undefined {
  return key.length === firstEntryKey.length && key[0] === firstEntryKey[0] ? seqOfEntryKey(key) : undefined
}

const firstEntryKey = entryKey(0)
