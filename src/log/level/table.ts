import { EndsTooSoon, Numbers } from '../keyed/rows/numbers.ts'
import { crc32c, unmaskedCrc } from './wal/crc32c.ts'

// LevelDB's files of sorted pairs, described in its source file doc/table_format.md. A table consists of blocks of
// pairs, a filter, an index for each of these two, and a footer with the positions of both indexes. Each block is
// followed by its checksum.

const footerBytes = 48
const magic = Buffer.from('57fb808b247547db', 'hex')
/** The bytes after a block: its compression type, and a masked CRC-32C of the block and that type. */
const trailerBytes = 5
const snappy = 1
/** Three bytes of Snappy expand to at most 64 bytes. */
const growthMax = 22

/**
 * Compares the checksum of every block, and returns the problem with a table or undefined. LevelDB does not do this
 * when it reads. With a damaged index, it finds pairs in a scan but not by key.
 * Cost: a pass over the table.
 */
export function problemOfTable(table: Buffer): string | undefined {
  try {
    if (!table.subarray(-magic.length).equals(magic)) return 'its footer is not that of a table'
    const footer = new Numbers(table.subarray(-footerBytes))
    const bytes: TableBytes = { at: (from, to) => table.subarray(from, to), length: table.length }
    for (const index of [handleFrom(footer), handleFrom(footer)]) {
      for (const [, handle] of pairsIn(blockAt(bytes, index))) blockAt(bytes, handleFrom(new Numbers(handle)))
    }
    return undefined
  } catch (error) {
    if (error instanceof TableProblem) return error.message
    if (error instanceof EndsTooSoon) return 'one of its indexes ends too early'
    throw error
  }
}

/** The bytes of a table, in memory or in a file. */
export interface TableBytes {
  at(from: number, to: number): Buffer
  length: number
}

/**
 * The keys in a range and their values that a table has, older ones included. Deletions are left out. Cost: reads the
 * index, and the blocks that can have such keys. Errors: a damaged table throws.
 */
export function* valuesIn(
  table: TableBytes,
  isInRange: (from: Uint8Array, to: Uint8Array) => boolean,
): Generator<[key: Buffer, value: Buffer]> {
  const footer = new Numbers(table.at(table.length - footerBytes, table.length))
  handleFrom(footer)
  let before: Buffer = Buffer.alloc(0)
  for (const [last, handle] of pairsIn(blockAt(table, handleFrom(footer)))) {
    // The key of a block in the index is at or after the last key of the block.
    const end = userKeyOf(last)
    const isWanted = isInRange(before, end)
    before = end
    if (!isWanted) continue
    for (const [key, value] of pairsIn(blockAt(table, handleFrom(new Numbers(handle))))) {
      const userKey = userKeyOf(key)
      if (key[userKey.length] === valueKind && isInRange(userKey, userKey)) yield [userKey, value]
    }
  }
}

/** A key in a table ends with its number and kind. The kind is the lowest byte. */
const userKeyOf = (key: Buffer): Buffer => key.subarray(0, key.length - 8)
const valueKind = 1

class TableProblem extends Error {}

/** The position of a block in its table, without the bytes that follow it. */
interface Handle {
  offset: number
  size: number
}

interface Block {
  compression: number
  bytes: Buffer
}

function blockAt(table: TableBytes, { offset, size }: Handle): Block {
  const end = offset + size
  if (end + trailerBytes > table.length)
    throw new TableProblem(`one of its blocks would end at ${end}, past the end of the file`)
  const block = table.at(offset, end + trailerBytes)
  if (crc32c(block.subarray(0, size + 1)) !== unmaskedCrc(block, size + 1))
    throw new TableProblem(`the checksum of its block at ${offset} does not match`)
  return { bytes: block.subarray(0, size), compression: block[size] as number }
}

/** The keys and values of a block. Each key begins with a part of the key before it. */
function* pairsIn({ bytes, compression }: Block): Generator<[key: Buffer, value: Buffer]> {
  const content = compression === snappy ? decompressed(bytes) : bytes
  // The last number is the count of restart positions stored before it.
  const restarts = content.length < 4 ? 0 : content.readUInt32LE(content.length - 4)
  const end = content.length - 4 * (restarts + 1)
  let key = Buffer.alloc(0)
  for (const numbers = new Numbers(content.subarray(0, Math.max(0, end))); numbers.isLeft; ) {
    const [shared, unshared, length] = [numbers.next(), numbers.next(), numbers.next()]
    key = Buffer.concat([key.subarray(0, shared), numbers.take(unshared)])
    yield [key, numbers.take(length)]
  }
}

function handleFrom(numbers: Numbers): Handle {
  return { offset: numbers.next(), size: numbers.next() }
}

/** Decompresses Snappy (format_description.txt), which consists of literals and copies of earlier output. */
function decompressed(bytes: Buffer): Buffer {
  const from = new Numbers(bytes)
  const length = from.next()
  if (length > bytes.length * growthMax)
    throw new TableProblem('the compressed length of one of its blocks is impossible')
  const whole = Buffer.alloc(length)
  let at = 0
  while (from.isLeft) {
    const tag = from.byte()
    const kind = tag & 3
    if (kind === 0) {
      const length = tag >>> 2 < 60 ? tag >>> 2 : from.fixed((tag >>> 2) - 59)
      at += from.take(length + 1).copy(whole, at)
      continue
    }
    const length = kind === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2)
    const back = kind === 1 ? ((tag >>> 5) << 8) | from.fixed(1) : from.fixed(kind === 2 ? 2 : 4)
    // Copies byte by byte, because a copy may overlap its own output.
    for (const end = at + length; at < end; at += 1) whole[at] = whole[at - back] as number
  }
  return whole
}
