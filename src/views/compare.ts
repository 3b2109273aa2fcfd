import { crc32 } from 'node:zlib'
import { evolveRow } from '../core/aggregates.ts'
import { canonicalText, type Json } from '../core/canonical.ts'
import type { Row } from '../core/decider.ts'
import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { decode, decodeEntry, unseal } from '../log/codec.ts'
import { differs } from '../log/corrupt.ts'
import type { Head } from '../log/head-row.ts'
import * as keys from '../log/keys.ts'
import { decodeRow, encodeRow } from '../log/row.ts'
import type { StoreReader } from '../log/store.ts'
import { horizon, ReceiptBlocks } from './receipts.ts'

/** The streams whose hash, under the mask, has this value. */
interface Share {
  mask: number
  value: number
}

/** Rows used lately stay unpacked: at least so many, at most twice as many. */
const recentMax = 4_096

/**
 * Derives every row anew from the entries and holds the stored ones to it. A row not used lately is kept packed, up to
 * `rowsMax` of them; past that only those are kept that the store does not already agree with, and where even these
 * are too many, half of the streams are put off to another pass over the entries, as often as it takes.
 * Errors: VERIFY_FAILED (`chain`, `rows`).
 */
export class RowComparison {
  readonly #reader: StoreReader
  readonly #generation: number
  readonly #rowsMax: number
  readonly #putOff: Share[] = []
  /** Rows used lately, in two generations as in `Rows`. */
  #young = new Map<string, Row>()
  #old = new Map<string, Row>()
  readonly #packed = new Map<string, Uint8Array>()
  #share: Share = { mask: 0, value: 0 }
  #first: { seq: number; stream: string } | undefined
  #differing = 0

  constructor(reader: StoreReader, { generation }: Head, rowsMax: number = limits.verifyRowsMax) {
    this.#reader = reader
    this.#generation = generation
    this.#rowsMax = rowsMax
  }

  /** Takes the next entry of a pass. */
  next(entry: Entry): void {
    const { prev, seq, stream } = entry
    if (!this.#isMine(stream)) return
    const row = this.#take(stream)
    if (prev.stream !== (row?.last_seq ?? null)) {
      const what = `entry ${seq} names ${prev.stream} as the one before it in ${stream}, not ${row?.last_seq ?? null}`
      throw differs('chain', what, { seq, stream })
    }
    this.#young.set(stream, evolveRow(row, entry))
    if (this.#young.size >= recentMax) this.#packOld()
  }

  /** Takes a stored row, after the last entry of a pass. */
  row(key: Uint8Array, stored: Uint8Array): void {
    const stream = keys.nameOfRowKey(key)
    const recent = this.#young.get(stream) ?? this.#old.get(stream)
    const derived = recent === undefined ? this.#packed.get(stream) : encodeRow(key, stream, recent)
    // Of another pass, or agreed with before; that there is no row too many, their number shows.
    if (derived === undefined) return
    for (const rows of this.#all()) rows.delete(stream)
    if (!isSameRow(key, stored, derived)) this.#note(stream, decode<Row>(key, derived).last_seq)
  }

  /** Ends a pass; true where another one has to follow. */
  endPass(): boolean {
    for (const [stream, row] of [...this.#young, ...this.#old]) this.#note(stream, row.last_seq)
    for (const [stream, bytes] of this.#packed) {
      this.#note(stream, decode<Row>(keys.rowKey(this.#generation, stream), bytes).last_seq)
    }
    if (this.#first !== undefined) {
      const what = `the row of ${this.#first.stream} is missing or not what its entries give`
      throw differs('rows', what, { ...this.#first, rows_differing: this.#differing })
    }
    const next = this.#putOff.pop()
    if (next !== undefined) this.#share = next
    return next !== undefined
  }

  /** Rows are met in the order of their keys; the one that went wrong first is named. */
  #note(stream: string, seq: number): void {
    this.#differing += 1
    if (this.#first === undefined || seq < this.#first.seq) this.#first = { seq, stream }
  }

  #take(stream: string): Row | undefined {
    const recent = this.#young.get(stream) ?? this.#old.get(stream)
    if (recent !== undefined) {
      this.#old.delete(stream)
      return recent
    }
    const packed = this.#packed.get(stream)
    if (packed === undefined) return undefined
    this.#packed.delete(stream)
    return decodeRow(keys.rowKey(this.#generation, stream), stream, packed, this.#entryAt)
  }

  readonly #entryAt = (seq: number): Entry | undefined => {
    const key = keys.entryKey(seq)
    const value = this.#reader.get(key)
    return value === undefined ? undefined : decodeEntry(key, value)
  }

  #packOld(): void {
    for (const [stream, row] of this.#old) {
      const key = keys.rowKey(this.#generation, stream)
      const bytes = encodeRow(key, stream, row)
      const isKept = this.#packed.size < this.#rowsMax || !isSameRow(key, this.#reader.get(key), bytes)
      if (isKept) this.#packed.set(stream, bytes)
    }
    this.#old = this.#young
    this.#young = new Map()
    if (this.#packed.size > this.#rowsMax) this.#putHalfOff()
  }

  #putHalfOff(): void {
    const { mask, value } = this.#share
    this.#share = { mask: mask * 2 + 1, value }
    this.#putOff.push({ mask: mask * 2 + 1, value: value + mask + 1 })
    for (const rows of this.#all()) {
      for (const stream of rows.keys()) if (!this.#isMine(stream)) rows.delete(stream)
    }
  }

  #all(): Map<string, unknown>[] {
    return [this.#young, this.#old, this.#packed]
  }

  #isMine(stream: string): boolean {
    const { mask, value } = this.#share
    return mask === 0 || (crc32(stream) & mask) === value
  }
}

/** The same bytes, or the same members in another order. */
function isSameRow(key: Uint8Array, stored: Uint8Array | undefined, derived: Uint8Array): boolean {
  if (stored === undefined) return false
  if (Buffer.compare(stored, derived) === 0) return true
  const [left, right] = [stored, derived].map((bytes) =>
    canonicalText(decode<Row<Json>>(key, bytes) as unknown as Json),
  )
  return left === right
}

/** Compares the stored receipts with those that the entries give. Errors: VERIFY_FAILED (`receipts`). */
export class ReceiptComparison {
  readonly #reader: StoreReader
  readonly #head: Head
  readonly #blocks = new ReceiptBlocks()
  #compared = 0

  constructor(reader: StoreReader, head: Head) {
    this.#reader = reader
    this.#head = head
  }

  next(entry: Entry): void {
    if (entry.seq < horizon(this.#head.size)) return
    const completed = this.#blocks.next(entry)
    if (completed === undefined) return
    const { block, value } = completed
    const key = keys.receiptsKey(this.#head.generation, block)
    const stored = this.#reader.get(key)
    const isSame = stored !== undefined && Buffer.compare(unseal(key, stored), value) === 0
    const facts = { block, seq: entry.seq - (entry.seq % 256) }
    if (!isSame) throw differs('receipts', `the receipts of the entries from ${facts.seq} on differ`, facts)
    this.#compared += 1
  }

  /** `found` is how many blocks the store has. */
  end(found: number): void {
    if (found === this.#compared) return
    throw differs('receipts', `the store has ${found} blocks of receipts, the entries give ${this.#compared}`)
  }
}
