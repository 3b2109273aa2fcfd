/**
 * CRC-32C (Castagnoli, RFC 3720 §12.1). LevelDB's files use it, and Node does not provide it. It processes four bytes
 * at a time. To continue a checksum, pass the checksum of the preceding bytes as `before`.
 */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let crc = ~before
  let at = 0
  for (const end = bytes.length - 3; at < end; at += 4) {
    crc ^=
      byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)
    crc =
      (third[crc & 255] as number) ^
      (second[(crc >>> 8) & 255] as number) ^
      (first[(crc >>> 16) & 255] as number) ^
      (plain[crc >>> 24] as number)
  }
  for (; at < bytes.length; at += 1) crc = (crc >>> 8) ^ (plain[(crc ^ byteAt(bytes, at)) & 255] as number)
  return ~crc >>> 0
}

const maskDelta = 0xa282ead8

/**
 * The checksum stored at a position in a LevelDB file. LevelDB masks stored checksums, because a CRC of data that
 * contains CRCs is weak.
 */
export function unmaskedCrc(bytes: Buffer, at: number): number {
  const masked = (bytes.readUInt32LE(at) - maskDelta) >>> 0
  return ((masked >>> 17) | (masked << 15)) >>> 0
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number
}

const polynomial = 0x82f63b78

/** The CRC table: the checksum of each byte value. */
export const plain: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
  return crc
})
/** The same table for a byte that is followed by one, two or three more bytes. */
const first = shifted(plain)
const second = shifted(first)
const third = shifted(second)

function shifted(table: Uint32Array): Uint32Array {
  return table.map((crc) => (crc >>> 8) ^ (plain[crc & 255] as number))
}
