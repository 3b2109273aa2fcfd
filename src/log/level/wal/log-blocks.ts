import { crc32c, unmaskedCrc } from './crc32c.ts'
import { isOneByteOff } from './one-byte-off.ts'

// LevelDB's log format, described in its source file doc/log_format.md. A file consists of 32 KiB blocks. Blocks
// contain fragments, each with a checksum, and one or more fragments form a record. Write-ahead logs and the MANIFEST
// use this format.

const blockBytes = 32 * 1024
/** A masked CRC-32C of type and payload, the payload's length, and the type. */
const headerBytes = 7
const typeAt = 6

const full = 1
const first = 2
const middle = 3
const last = 4

/** A record, assembled from its fragments. */
export interface LogRecord {
  at: number
  payload: Buffer
}

/** The place where a log file becomes unreadable, and whether a crash may be the cause. */
export interface BadPlace {
  at: number
  problem: string
  /** The bytes are the start of a record that continues past the end of the file. */
  isCut: boolean
  /** Changing a single byte makes the record valid. An interrupted write does not leave such bytes. */
  isOneByteOff: boolean
}

/** The records before the first unreadable place, and that place if there is one. */
export interface LogContent {
  records: LogRecord[]
  bad: BadPlace | undefined
}

/** Reads the records of a log file in order. Cost: a checksum over its bytes. */
export function readLogBlocks(bytes: Buffer): LogContent {
  const records: LogRecord[] = []
  for (let at = skipTrailer(0); at < bytes.length; ) {
    const read = recordAt(bytes, at)
    if ('problem' in read) return { records, bad: read }
    records.push({ at, payload: read.payload })
    at = skipTrailer(read.end)
  }
  return { records, bad: undefined }
}

/**
 * Finds the first complete record after `behind` for which `isPlausible` returns true. It tries every position, because
 * the damaged bytes may include the length that leads to the next record. Continuation fragments without their first
 * fragment do not count as a record.
 * Cost: a look at each byte, and a checksum at each possible start.
 */
export function recordBehind(
  bytes: Buffer,
  behind: number,
  isPlausible: (fragment: Buffer) => boolean,
): LogRecord | undefined {
  for (let at = behind + 1; at + headerBytes <= bytes.length; at += 1) {
    const type = bytes[at + typeAt]
    if (type !== full && type !== first) continue
    if (!isPlausible(bytes.subarray(at + headerBytes))) continue
    const read = recordAt(bytes, at)
    if (!('problem' in read)) return { at, payload: read.payload }
  }
  return undefined
}

interface Read {
  payload: Buffer
  end: number
}

/** Reads the record at a position: either one full fragment, or a first, any middle and a last fragment. */
function recordAt(bytes: Buffer, start: number): Read | BadPlace {
  const payloads: Buffer[] = []
  for (let at = start; ; ) {
    if (at >= bytes.length) return bad(start, 'the file ends inside a record', { isCut: true })
    const read = fragmentAt(bytes, at)
    if ('problem' in read) return read
    const begins = read.type === full || read.type === first
    if (begins !== (at === start)) {
      const problem = begins ? 'the record does not end before the next one begins' : 'the record has no beginning'
      return bad(start, problem, { isOneByteOff: true })
    }
    payloads.push(read.payload)
    if (read.type === full) return read
    if (read.type === last) return { payload: Buffer.concat(payloads), end: read.end }
    at = skipTrailer(read.end)
  }
}

function fragmentAt(bytes: Buffer, at: number): (Read & { type: number }) | BadPlace {
  if (at + headerBytes > bytes.length) {
    return bad(at, 'the file ends inside a header', { isCut: true })
  }
  const type = bytes[at + typeAt] as number
  const length = bytes.readUInt16LE(at + 4)
  const end = at + headerBytes + length
  const blockEnd = at - (at % blockBytes) + blockBytes
  const fillsBlock = type === first || type === middle
  if (type < full || type > last || (fillsBlock ? end !== blockEnd : end > blockEnd)) {
    return bad(at, 'the header is invalid', { isOneByteOff: isOneByteOff(bytes, at, blockEnd) })
  }
  const expected = unmaskedCrc(bytes, at)
  if (end > bytes.length) {
    const isWhole = hasPrefixOfCrc(bytes.subarray(at + typeAt), expected)
    return isWhole
      ? bad(at, 'the length does not match the checksum', { isOneByteOff: true })
      : bad(at, 'the file ends inside a record', { isCut: true })
  }
  if (crc32c(bytes.subarray(at + typeAt, end)) !== expected) {
    return bad(at, 'the checksum does not match', { isOneByteOff: isOneByteOff(bytes, at, blockEnd) })
  }
  return { type, payload: bytes.subarray(at + headerBytes, end), end }
}

/** Skips the end of a block if it is too short to hold a header. */
function skipTrailer(at: number): number {
  const left = blockBytes - (at % blockBytes)
  return left < headerBytes ? at + left : at
}

function bad(
  at: number,
  problem: string,
  { isCut = false, isOneByteOff = false }: { isCut?: boolean; isOneByteOff?: boolean },
): BadPlace {
  return { at, problem, isCut, isOneByteOff }
}

/**
 * Whether any prefix of the bytes has the expected checksum. If so, the record is complete and only its length is
 * wrong.
 */
function hasPrefixOfCrc(bytes: Buffer, expected: number): boolean {
  let crc = 0
  for (let length = 1; length <= bytes.length; length += 1) {
    crc = crc32c(bytes.subarray(length - 1, length), crc)
    if (crc === expected) return true
  }
  return false
}
