import { crc32c, unmaskedCrc } from './crc32c.ts'
import { EndsTooSoon, Numbers } from './numbers.ts'

// LevelDB's files of sorted pairs, as doc/table_format.md of its sources describes them: blocks of pairs, a filter,
// an index of each, and a footer that says where the two indexes are. Behind each block stands its checksum.

const footerBytes = 48
const magic = Buffer.from('57fb808b247547db', 'hex')
/** Behind a block: how it is compressed, and a masked CRC-32C of the block and that byte. */
const trailerBytes = 5
const snappy = 1
/** Three bytes of Snappy stand for 64 at most. */
const growthMax = 22

/**
 * What is wrong with a table, or undefined: the checksum of each of its blocks is compared. LevelDB does not do that
 * when it reads, and over a damaged index it finds pairs in a scan and not by their keys. Cost: a pass over its bytes.
 */
export function problemOfTable(table: Buffer): string | undefined {
  try {
    if (!table.subarray(-magic.length).equals(magic)) return 'it does not end as a table does'
    const footer = new Numbers(table.subarray(-footerBytes))
    for (const index of [handleFrom(footer), handleFrom(footer)]) {
      for (const block of handlesIn(blockAt(table, index))) blockAt(table, block)
    }
    return undefined
  } catch (error) {
    if (error instanceof TableProblem) return error.message
    if (error instanceof EndsTooSoon) return 'an index of it ends too soon'
    throw error
  }
}

class TableProblem extends Error {}

/** Where a block stands in its table, without what stands behind it. */
interface Handle {
  offset: number
  size: number
}

interface Block {
  compression: number
  bytes: Buffer
}

function blockAt(table: Buffer, { offset, size }: Handle): Block {
  const end = offset + size
  if (end + trailerBytes > table.length) throw new TableProblem(`a block of it would end at ${end}`)
  if (crc32c(table.subarray(offset, end + 1)) !== unmaskedCrc(table, end + 1))
    throw new TableProblem(`the checksum of its block at ${offset} differs`)
  return { bytes: table.subarray(offset, end), compression: table[end] as number }
}

/** The blocks that an index names: its values, whatever its keys are. */
function* handlesIn({ bytes, compression }: Block): Generator<Handle> {
  const content = compression === snappy ? decompressed(bytes) : bytes
  // Its last number says how many others stand before it, which are places in the block.
  const restarts = content.length < 4 ? 0 : content.readUInt32LE(content.length - 4)
  const end = content.length - 4 * (restarts + 1)
  for (const numbers = new Numbers(content.subarray(0, Math.max(0, end))); numbers.isLeft; ) {
    const [, unshared, length] = [numbers.next(), numbers.next(), numbers.next()]
    numbers.take(unshared)
    yield handleFrom(new Numbers(numbers.take(length)))
  }
}

function handleFrom(numbers: Numbers): Handle {
  return { offset: numbers.next(), size: numbers.next() }
}

/** Snappy's format_description.txt: literals, and copies of what is there already. */
function decompressed(bytes: Buffer): Buffer {
  const from = new Numbers(bytes)
  const length = from.next()
  if (length > bytes.length * growthMax) throw new TableProblem('an index of it is compressed as nothing is')
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
    // Byte by byte, for a copy may reach into itself.
    for (const end = at + length; at < end; at += 1) whole[at] = whole[at - back] as number
  }
  return whole
}
