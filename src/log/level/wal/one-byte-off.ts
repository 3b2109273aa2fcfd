import { crc32c, plain, unmaskedCrc } from './crc32c.ts'

const headerBytes = 7
const lengthAt = 4
const typeAt = 6
const types = [1, 2, 3, 4]

/**
 * Whether changing a single byte would make a LevelDB log fragment with a wrong checksum valid. If so, a byte was
 * changed after it was written; an interrupted write is not the cause. The fragment begins at `at` and ends within its
 * block.
 * Cost: a few passes over the block.
 */
export function isOneByteOff(bytes: Buffer, at: number, blockEnd: number): boolean {
  const end = Math.min(bytes.length, blockEnd)
  const stored = unmaskedCrc(bytes, at)
  const fragmentEnd = at + headerBytes + bytes.readUInt16LE(at + lengthAt)
  if (isOfOtherLength(bytes, at, { end, stored })) return true
  if (fragmentEnd > end) return false
  const fragment = bytes.subarray(at + typeAt, fragmentEnd)
  const actual = crc32c(fragment)
  if (isOneByte(bytes, at, actual)) return true
  return isExplainedByOneByte(fragment, (actual ^ stored) >>> 0)
}

/** Whether the stored checksum differs from the correct one in a single byte. */
function isOneByte(bytes: Buffer, at: number, actual: number): boolean {
  const copy = Buffer.from(bytes.subarray(at, at + lengthAt))
  for (let index = 0; index < lengthAt; index += 1) {
    const before = copy[index] as number
    for (let byte = 0; byte < 256; byte += 1) {
      copy[index] = byte
      if (unmaskedCrc(copy, 0) === actual) return true
    }
    copy[index] = before
  }
  return false
}

/**
 * Whether changing one byte of the length gives a fragment that matches the stored checksum. The stored type must be
 * valid.
 */
function isOfOtherLength(bytes: Buffer, at: number, { end, stored }: { end: number; stored: number }): boolean {
  if (!types.includes(bytes[at + typeAt] as number)) return false
  const wanted = bytes.readUInt16LE(at + lengthAt)
  const longest = end - at - headerBytes
  let crc = crc32c(bytes.subarray(at + typeAt, at + headerBytes))
  for (let length = 0; length <= longest; length += 1) {
    const isOneByte = (length & 0xff) === (wanted & 0xff) || length >> 8 === wanted >> 8
    if (isOneByte && crc === stored) return true
    crc = crc32c(bytes.subarray(at + headerBytes + length, at + headerBytes + length + 1), crc)
  }
  return false
}

/**
 * Whether changing one byte of a text explains this difference between checksums. CRCs are linear: the difference
 * equals that of the changed byte, carried through one zero for each byte after it. So this function carries the
 * difference back, byte by byte.
 */
function isExplainedByOneByte({ length }: Buffer, difference: number): boolean {
  let carried = difference
  for (let behind = 0; behind < length; behind += 1) {
    const byte = byteOfTop[carried >>> 24] as number
    if (plain[byte] === carried) return true
    carried = (((carried ^ (plain[byte] as number)) << 8) | byte) >>> 0
  }
  return false
}

/** Maps the top eight bits of a CRC table entry to its index. The top bits of each entry are unique. */
const byteOfTop = new Uint8Array(256)
for (const [byte, crc] of plain.entries()) byteOfTop[crc >>> 24] = byte
