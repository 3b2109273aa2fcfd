/**
 * The layout of keys in the store: a prefix byte, then a fixed-width big-endian number or a UTF-8 name. View keys
 * contain a generation byte. A rebuild can therefore fill a new generation, and a single batch switches to it.
 */
const prefix = {
  entry: 0x65,
  head: 0x68,
  receipts: 0x69,
  meta: 0x6d,
  note: 0x6e,
  object: 0x6f,
  row: 0x72,
  state: 0x73,
  tile: 0x74,
  index: 0x78,
} as const

export const headKey = Buffer.of(prefix.head)
export const metaKey = Buffer.of(prefix.meta)

export function entryKey(seq: number): Buffer {
  return numbered(prefix.entry, undefined, seq)
}

export function tileKey(level: number, index: number): Buffer {
  return numbered(prefix.tile, level, index)
}

export function indexOfTileKey(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(4, 6)
}

/** The key of a block of 256 receipts. */
export function receiptsKey(generation: number, block: number): Buffer {
  return numbered(prefix.receipts, generation, block)
}

/** The key of a stream's row. */
export function rowKey(generation: number, stream: string): Buffer {
  const key = Buffer.allocUnsafe(2 + Buffer.byteLength(stream))
  key[0] = prefix.row
  key[1] = generation
  key.write(stream, 2)
  return key
}

/** The stream of a row's key, or the name of a sovereign-state row's key. */
export function nameOfRowKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8', 2)
}

/** The key of an index row. `views/` defines the meaning of the tail. */
export function indexKey(generation: number, tail: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(prefix.index, generation), tail])
}

export function tailOfIndexKey(key: Uint8Array): Buffer {
  return Buffer.from(key.buffer, key.byteOffset + 2, key.byteLength - 2)
}

/** The key of a sovereign-state row. */
export function stateKey(generation: number, key: string): Buffer {
  const bytes = rowKey(generation, key)
  bytes[0] = prefix.state
  return bytes
}

/** The key of one piece of an object. All pieces except the last have the same length. */
export function objectKey(digest: string, piece: number): Buffer {
  const key = Buffer.allocUnsafe(objectKeyBytes)
  key[0] = prefix.object
  key.write(digest, 1, 'hex')
  key.writeUInt16BE(piece, objectKeyBytes - 2)
  return key
}
const objectKeyBytes = 35

/** All pieces of one object. */
export function objectRange(digest: string): { gte: Buffer; lt: Buffer } {
  const lt = objectKey(digest, 0xffff)
  return { gte: objectKey(digest, 0), lt: behind(lt) }
}

export function digestOfObjectKey(key: Uint8Array): { digest: string; piece: number } {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return { digest: bytes.toString('hex', 1, objectKeyBytes - 2), piece: bytes.readUInt16BE(objectKeyBytes - 2) }
}

/** The key of a note about objects that are being stored and that no entry names yet. */
export function noteKey(note: number): Buffer {
  return numbered(prefix.note, undefined, note)
}

export function numberOfNoteKey(key: Uint8Array): number {
  return seqOfEntryKey(key)
}

/** The kind of data that a key holds; undefined if Lockstep does not use such a key. */
export function kindOf(key: Uint8Array): keyof typeof prefix | undefined {
  switch (key[0]) {
    case prefix.entry:
      return isNumbered(key, 9) ? 'entry' : undefined
    case prefix.head:
      return key.length === 1 ? 'head' : undefined
    case prefix.meta:
      return key.length === 1 ? 'meta' : undefined
    case prefix.note:
      return isNumbered(key, 9) ? 'note' : undefined
    case prefix.object:
      return key.length === objectKeyBytes ? 'object' : undefined
    case prefix.state:
      return key.length > 2 ? 'state' : undefined
    case prefix.receipts:
      return isNumbered(key, 10) ? 'receipts' : undefined
    case prefix.row:
      return key.length > 2 ? 'row' : undefined
    case prefix.index:
      return key.length > 2 ? 'index' : undefined
    case prefix.tile:
      return isNumbered(key, 10) ? 'tile' : undefined
    default:
      return undefined
  }
}

/** Numbers are below 2^48, so the two highest bytes are always zero. */
function isNumbered(key: Uint8Array, length: number): boolean {
  return key.length === length && key[length - 8] === 0 && key[length - 7] === 0
}

/** Exactly one key. */
export function rangeOf(key: Uint8Array): { gte: Uint8Array; lt: Buffer } {
  return { gte: key, lt: behind(key) }
}

export function seqOfEntryKey(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(3, 6)
}

/** Half-open key ranges for scans. */
export const ranges = {
  all: { gte: Buffer.of(0), lt: Buffer.alloc(64, 0xff) },
  entries: (from: number, to: number) => ({ gte: entryKey(from), lt: entryKey(to) }),
  generation: (generation: number) =>
    [prefix.row, prefix.receipts, prefix.state, prefix.index].map((first) => ({
      gte: Buffer.of(first, generation),
      lt: Buffer.of(first, generation + 1),
    })),
  notes: { gte: Buffer.of(prefix.note), lt: Buffer.of(prefix.note + 1) },
  objects: { gte: Buffer.of(prefix.object), lt: Buffer.of(prefix.object + 1) },
  state: (generation: number, keyPrefix: string, after?: string) => ({
    gte: after === undefined ? stateKey(generation, keyPrefix) : behind(stateKey(generation, after)),
    lt: Buffer.concat([stateKey(generation, keyPrefix), Buffer.of(0xff)]),
  }),
  index: (generation: number, from: Uint8Array, to: Uint8Array) => ({
    gte: indexKey(generation, from),
    lt: indexKey(generation, to),
  }),
  rows: (generation: number, streamPrefix: string, after?: string) => ({
    gte: after === undefined ? rowKey(generation, streamPrefix) : behind(rowKey(generation, after)),
    lt: Buffer.concat([rowKey(generation, streamPrefix), Buffer.of(0xff)]),
  }),
  tiles: { gte: Buffer.of(prefix.tile), lt: Buffer.of(prefix.tile + 1) },
}

/** The first key behind this one. */
function behind(key: Uint8Array): Buffer {
  return Buffer.concat([key, Buffer.of(0)])
}

function numbered(first: number, second: number | undefined, value: number): Buffer {
  const key = Buffer.allocUnsafe(second === undefined ? 9 : 10)
  key[0] = first
  if (second !== undefined) key[1] = second
  const at = key.length - 8
  key.writeUInt16BE(0, at)
  key.writeUIntBE(value, at + 2, 6)
  return key
}
