import { hash } from 'node:crypto'
import { corrupt } from '../corrupt.ts'
import type { LogObjects, Note } from '../log.ts'
import { decode, encode, seal, unseal } from './rows/codec.ts'
import * as keys from './rows/keys.ts'
import type { StoreBatch, StoreReader } from './store.ts'

/** Longer objects are stored in pieces, to keep each write short. */
const pieceBytes = 192 * 1024
/** The approximate size of one write of objects. Other writes can run in between. */
const writeBytes = 256 * 1024

/**
 * Texts stored under their SHA-256. Objects are written before the entry that names them, and each write includes a
 * note of its content. The append of that entry deletes the notes. After a crash, the remaining notes show which
 * objects have no entry.
 */
export class Objects implements LogObjects {
  readonly #reader: StoreReader
  readonly #write: (batch: StoreBatch) => Promise<void>
  #notes = 0

  constructor(reader: StoreReader, write: (batch: StoreBatch) => Promise<void>) {
    this.#reader = reader
    this.#write = write
  }

  missing(digests: readonly string[]): readonly string[] {
    return digests.filter((digest) => this.#reader.get(keys.objectKey(digest, 0)) === undefined)
  }

  /**
   * The text of an object.
   * Errors: LEDGER_CORRUPT if it is missing or does not match its digest.
   * Cost: one read per 192 KiB.
   */
  text(digest: string): string {
    return objectIn(this.#reader, digest)
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
      batch.puts.push({ key, value: encode(key, { digests, size } satisfies Note) })
      notes.push(note)
      const written = batch
      batch = { puts: [], deletes: [] }
      digests = []
      bytes = 0
      await this.#write(written)
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
    for await (const page of this.#reader.scan(keys.ranges.notes)) {
      for (const [key, value] of page) found.push({ number: keys.numberOfNoteKey(key), note: decode<Note>(key, value) })
    }
    this.#notes = Math.max(this.#notes, ...found.map(({ number }) => number + 1))
    return found
  }

  /** Deletes notes, and objects that no entry names. */
  async drop(digests: readonly string[], notes: readonly number[]): Promise<void> {
    const deletes: Uint8Array[] = []
    for (const digest of digests) {
      for (let piece = 0; this.#reader.get(keys.objectKey(digest, piece)) !== undefined; piece += 1) {
        deletes.push(keys.objectKey(digest, piece))
      }
    }
    await this.#write({ puts: [], deletes: [...deletes, ...notes.map(keys.noteKey)] })
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

/** Reads the text with a digest and checks every byte of it. Errors: LEDGER_CORRUPT. */
export function objectIn(reader: StoreReader, digest: string): string {
  const pieces: Uint8Array[] = []
  for (let piece = 0; ; piece += 1) {
    const key = keys.objectKey(digest, piece)
    const value = reader.get(key)
    if (value === undefined) throw corrupt(`the object ${digest} is missing`, { check: 'objects', digest })
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
