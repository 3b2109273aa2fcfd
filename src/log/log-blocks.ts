import { crc32c, unmaskedCrc } from './crc32c.ts'
import { isOneByteOff } from './one-byte-off.ts'

// LevelDB's log format, as doc/log_format.md of its sources describes it: blocks of 32 KiB, in them fragments with a
// checksum each, which together are records. Its write-ahead logs and its MANIFEST are such files.

const blockBytes = 32 * 1024
/** A masked CRC-32C of type and payload, the payload's length, the type. */
const headerBytes = 7
const typeAt = 6

const full = 1
const first = 2
const middle = 3
const last = 4

/** One record, put together from its fragments. */
export interface LogRecord {
  at: number
  payload: Buffer
}

/** Where a log file cannot be read on, and what a crash may have to do with it. */
export interface BadPlace {
  at: number
  problem: string
  /** The bytes there are the beginning of a record that goes on where the file ends. */
  isCut: boolean
  /** A change of one byte makes it whole, which no interrupted write leaves. */
  isOneByteOff: boolean
}

/** The records before the first place that cannot be read, and that place, if there is one. */
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
 * The first whole record that begins behind a place and that `isPlausible` takes, found whatever lies between: the
 * length that says where the next record begins may be what is damaged. A later fragment of a record whose beginning
 * is lost is no record. Cost: a look at each byte, and a checksum where one may begin.
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

/** The record that begins at a place: one fragment, or a first one, those in the middle, and a last one. */
function recordAt(bytes: Buffer, start: number): Read | BadPlace {
  const payloads: Buffer[] = []
  for (let at = start; ; ) {
    if (at >= bytes.length) return bad(start, 'the file ends', { isCut: true })
    const read = fragmentAt(bytes, at)
    if ('problem' in read) return read
    const begins = read.type === full || read.type === first
    if (begins !== (at === start)) {
      const problem = begins ? 'it does not end before another one begins' : 'it has no beginning'
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
    return bad(at, 'the file ends in a header', { isCut: true })
  }
  const type = bytes[at + typeAt] as number
  const length = bytes.readUInt16LE(at + 4)
  const end = at + headerBytes + length
  const blockEnd = at - (at % blockBytes) + blockBytes
  const fillsBlock = type === first || type === middle
  if (type < full || type > last || (fillsBlock ? end !== blockEnd : end > blockEnd)) {
    return bad(at, 'its header is not one', { isOneByteOff: isOneByteOff(bytes, at, blockEnd) })
  }
  const expected = unmaskedCrc(bytes, at)
  if (end > bytes.length) {
    const isWhole = hasPrefixOfCrc(bytes.subarray(at + typeAt), expected)
    return isWhole
      ? bad(at, 'its length is not that of its checksum', { isOneByteOff: true })
      : bad(at, 'the file ends', { isCut: true })
  }
  if (crc32c(bytes.subarray(at + typeAt, end)) !== expected) {
    return bad(at, 'its checksum differs', { isOneByteOff: isOneByteOff(bytes, at, blockEnd) })
  }
  return { type, payload: bytes.subarray(at + headerBytes, end), end }
}

/** A block's last bytes are left over where they are too few for a header. */
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

/** Whether the beginning of some bytes, however long, has a checksum: then the record is whole and its length is not. */
function hasPrefixOfCrc(bytes: Buffer, expected: number): boolean {
  let crc = 0
  for (let length = 1; length <= bytes.length; length += 1) {
    crc = crc32c(bytes.subarray(length - 1, length), crc)
    if (crc === expected) return true
  }
  return false
}
