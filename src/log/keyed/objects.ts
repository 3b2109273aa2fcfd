import { hash } from 'node:crypto'
import { LockstepError } from '../../errors.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import { corrupt } from '../corrupt.ts'
import type { LogObjects, Note } from '../log-parts.ts'
import { decode, encode, seal, unseal } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { PairReader, StoreBatch, StoreReader } from './store.ts'

/** Longer objects are stored in pieces, to keep each write short. */
const pieceBytes = 192 * 1024
/** The approximate size of one write of objects. Other writes can run in between. */
const writeBytes = 256 * 1024

/** The values under keys, at hand. */
type AtHand = Pick<StoreReader, 'get'>

/** What the objects need: reads of what is stored, and a write that takes its turn with the appends. */
export interface ObjectsGround {
  /** Reads of these objects and notes: at once, or once they were fetched. */
  fetched: (digests: readonly string[], notes?: readonly number[]) => Maybe<AtHand>
  scan: PairReader['scan']
  write: (batch: StoreBatch) => Promise<void>
}

/**
 * Texts stored under their SHA-256. Objects are written before the entry that names them, and each write includes a
 * note of its content. The append of that entry deletes the notes. After a crash, the remaining notes show which
 * objects have no entry.
 */
export class Objects implements LogObjects {
  readonly #ground: ObjectsGround
  #notes = 0

  constructor(ground: ObjectsGround) {
    this.#ground = ground
  }

  erasedAt(digest: string): Maybe<number | undefined> {
    return after(this.#ground.fetched([digest]), (reader) => erasedAt(reader, digest))
  }

  missing(digests: readonly string[]): Maybe<readonly string[]> {
    return after(this.#ground.fetched(digests), (reader) =>
      digests.filter((digest) => {
        const value = reader.get(keys.objectKey(digest, 0))
        return value === undefined || isMark(value)
      }),
    )
  }

  /**
   * Stores objects and returns the numbers of their notes. Each write is synced, and other writes can run in between.
   */
  async put(objects: Iterable<readonly [string, string]>, size: number): Promise<number[]> {
    const notes: number[] = []
    let batch: StoreBatch = { puts: [], deletes: [] }
    let digests: string[] = []
    let bytes = 0
    const flush = async () => {
      const note = this.#notes
      this.#notes += 1
      const key = keys.noteKey(note)
      const [written, named] = [batch, digests]
      batch = { puts: [], deletes: [] }
      digests = []
      bytes = 0
      const reader = await this.#ground.fetched(named)
      const erased = named.flatMap((digest) => {
        const seq = erasedAt(reader, digest)
        return seq === undefined ? [] : [[digest, seq] as const]
      })
      const content: Note = erased.length === 0 ? { digests: named, size } : { digests: named, erased, size }
      written.puts.push({ key, value: encode(key, content) })
      notes.push(note)
      await this.#ground.write(written)
    }
    for (const [digest, text] of objects) {
      for (const { key, value } of piecesOf(digest, text)) {
        if (bytes > 0 && bytes + value.length > writeBytes) await flush()
        batch.puts.push({ key, value })
        bytes += value.length
        if (digests.at(-1) !== digest) digests.push(digest)
      }
    }
    if (digests.length > 0) await flush()
    return notes
  }

  /** All notes, oldest first. */
  async notes(): Promise<{ number: number; note: Note }[]> {
    const found: { number: number; note: Note }[] = []
    for await (const page of this.#ground.scan(keys.ranges.notes)) {
      for (const [key, value] of page) found.push({ number: keys.numberOfNoteKey(key), note: decode<Note>(key, value) })
    }
    this.#notes = Math.max(this.#notes, ...found.map(({ number }) => number + 1))
    return found
  }

  async drop(digests: readonly string[], notes: readonly number[]): Promise<void> {
    const reader = await this.#ground.fetched(digests, notes)
    const before = new Map(notes.flatMap((note) => erasedBefore(reader, note)))
    const batch: StoreBatch = { puts: [], deletes: notes.map(keys.noteKey) }
    for (const digest of digests) {
      const seq = before.get(digest)
      if (seq !== undefined) putMark(batch, reader, { digest, seq })
      else for (const key of piecesAt(reader, digest)) batch.deletes.push(key)
    }
    await this.#ground.write(batch)
  }
}

/** What a note says was erased before its objects were stored again. */
function erasedBefore(reader: AtHand, note: number): NonNullable<Note['erased']> {
  const key = keys.noteKey(note)
  const value = reader.get(key)
  return value === undefined ? [] : (decode<Note>(key, value).erased ?? [])
}

/**
 * Erases an object: a mark with the seq of the entry takes the place of its first piece. So a missing object is told
 * from an erased one with one read. The first byte of a mark occurs in no UTF-8 text.
 */
export function putMark(batch: StoreBatch, reader: AtHand, { digest, seq }: { digest: string; seq: number }): void {
  const key = keys.objectKey(digest, 0)
  const value = reader.get(key)
  const pieces = (value && markIn(key, value)?.pieces) ?? [...piecesAt(reader, digest)].length
  const mark = Buffer.alloc(markBytes)
  mark[0] = markByte
  mark.writeUIntBE(seq, 1, seqBytes)
  mark.writeUInt16BE(pieces, 1 + seqBytes)
  batch.puts.push({ key, value: seal(key, mark) })
  for (let piece = 1; piece < pieces; piece += 1) batch.deletes.push(keys.objectKey(digest, piece))
}

const markByte = 0xff
const seqBytes = 6
const markBytes = 1 + seqBytes + 2

/** Whether a stored value is a mark and not a piece of a text. */
export const isMark = (value: Uint8Array): boolean => value[0] === markByte

/** The seq in a mark, and how many pieces the text had; undefined for a text. Errors: LEDGER_CORRUPT. */
function markIn(key: Uint8Array, value: Uint8Array): { pieces: number; seq: number } | undefined {
  if (!isMark(value)) return undefined
  const bytes = unseal(key, value)
  if (bytes.length !== markBytes) throw corrupt('the mark of an erased object has another length', { check: 'objects' })
  return { pieces: bytes.readUInt16BE(1 + seqBytes), seq: bytes.readUIntBE(1, seqBytes) }
}

/** The seq of the entry that records the erasure of an object; undefined if the object is not erased. */
export function erasedAt(reader: AtHand, digest: string): number | undefined {
  const key = keys.objectKey(digest, 0)
  const value = reader.get(key)
  return value === undefined ? undefined : markIn(key, value)?.seq
}

function* piecesAt(reader: AtHand, digest: string): Generator<Uint8Array> {
  for (let piece = 0; ; piece += 1) {
    const key = keys.objectKey(digest, piece)
    if (reader.get(key) === undefined) return
    yield key
  }
}

/** Adds an object to a batch. */
export function putObject(batch: StoreBatch, digest: string, text: string): void {
  for (const piece of piecesOf(digest, text)) batch.puts.push(piece)
}

function* piecesOf(digest: string, text: string): Generator<{ key: Uint8Array; value: Uint8Array }> {
  const bytes = Buffer.from(text)
  // The last piece is always shorter than the others, which marks it as the last.
  for (let piece = 0, from = 0; from <= bytes.length; piece += 1, from += pieceBytes) {
    const key = keys.objectKey(digest, piece)
    yield { key, value: seal(key, bytes.subarray(from, from + pieceBytes)) }
  }
}

/** Reads the text with a digest and checks every byte of it. Errors: OBJECT_ERASED, LEDGER_CORRUPT. */
export function objectIn(reader: AtHand, digest: string): string {
  const pieces: Uint8Array[] = []
  for (let piece = 0; ; piece += 1) {
    const key = keys.objectKey(digest, piece)
    const value = reader.get(key)
    if (value === undefined) throw corrupt(`the object ${digest} is missing`, { check: 'objects', digest })
    const mark = markIn(key, value)
    if (mark !== undefined) {
      throw new LockstepError('OBJECT_ERASED', `the object ${digest} was erased, as entry ${mark.seq} records`, {
        details: { digest, seq: mark.seq },
      })
    }
    const bytes = unseal(key, value)
    pieces.push(bytes)
    if (bytes.length < pieceBytes) break
  }
  const bytes = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
  if (hash('sha256', bytes, 'hex') !== digest) {
    throw corrupt(`the object ${digest} does not match its digest`, { check: 'objects', digest })
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}
