import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr'
import type { LockstepError } from '../errors.ts'
import { corrupt } from './corrupt.ts'
import { entryKey, seqOfEntryKey } from './keys.ts'

// Plain maps only: shared record structures would tie the meaning of durable bytes to other bytes.
const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  variableMapSize: true,
})

/** The version of everything below `.lockstep/ledger`; kept in the meta row. */
export const formatVersion = 1

const crcBytes = 4

/** MessagePack of the value, then CRC-32(key ‖ value), big-endian. */
export function encode(key: Uint8Array, value: unknown): Buffer {
  return seal(key, packr.pack(value))
}

/** Raw bytes, then the same checksum. */
export function seal(key: Uint8Array, bytes: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(bytes.length + crcBytes)
  sealed.set(bytes, 0)
  sealed.writeUInt32BE(crc32(bytes, crc32(key)), bytes.length)
  return sealed
}

/** The value under a key. Bytes that are not what was written are LEDGER_CORRUPT, whoever reads them. */
export function decode<T>(key: Uint8Array, sealed: Uint8Array): T {
  const bytes = unseal(key, sealed)
  try {
    return packr.unpack(bytes) as T
  } catch (cause) {
    throw damaged(key, 'cannot be unpacked', cause)
  }
}

export function unseal(key: Uint8Array, sealed: Uint8Array): Buffer {
  const buffer = sealed instanceof Buffer ? sealed : Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  const length = buffer.length - crcBytes
  if (length < 0) throw damaged(key, 'is cut short')
  const bytes = buffer.subarray(0, length)
  if (crc32(bytes, crc32(key)) !== buffer.readUInt32BE(length)) throw damaged(key, 'fails its checksum')
  return bytes
}

/** The same of what a read gave, which may be nothing. */
export function decodeIfThere<T>(key: Uint8Array, sealed: Uint8Array | undefined): T | undefined {
  return sealed === undefined ? undefined : decode<T>(key, sealed)
}

export function unsealIfThere(key: Uint8Array, sealed: Uint8Array | undefined): Buffer | undefined {
  return sealed === undefined ? undefined : unseal(key, sealed)
}

function damaged(key: Uint8Array, what: string, cause?: unknown): LockstepError {
  const text = Buffer.from(key).toString('hex')
  const where = seqOf(key)
  return corrupt(
    `the value under key ${text} ${what}`,
    { check: 'bytes', key: text, ...(where === undefined ? {} : { seq: where }) },
    cause,
  )
}

function seqOf(key: Uint8Array): number | undefined {
  return key.length === firstEntryKey.length && key[0] === firstEntryKey[0] ? seqOfEntryKey(key) : undefined
}

const firstEntryKey = entryKey(0)
