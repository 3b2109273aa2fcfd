import { crc32 } from 'node:zlib'
import { evolveRow, rowFrom, storedRow } from '../domain/aggregates.ts'
import { canonicalText, type Json } from '../kernel/canonical.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import { decode, decodeEntry, encode, unseal } from '../log/keyed/rows/codec.ts'
import type { StoredHead } from '../log/keyed/rows/head-row.ts'
import * as keys from '../log/keyed/rows/keys.ts'
import type { StoreReader } from '../log/keyed/store.ts'
import { horizon, ReceiptBlocks } from '../views/receipts.ts'

/** The streams whose hash, under the mask, equals the value. */
interface Share {
  mask: number
  value: number
}

/** The number of recently used rows that stay decoded: at least this many, at most twice as many. */
const recentMax = 4_096

/**
 * Derives every row again from the entries, and compares the stored rows. Rows that were not used recently are kept
 * encoded, up to `rowsMax`. Beyond that, only rows that differ from the store are kept. If even these are too many,
 * half of the streams are postponed to another pass over the entries, repeatedly if needed.
 * Errors: VERIFY_FAILED (`chain`, `rows`).
 */
export class RowComparison implements Check {
  readonly #reader: StoreReader
  readonly #generation: number
  readonly #rowsMax: number
  readonly #putOff: Share[] = []
  /** Recently used rows, in two generations as in `Recent`. */
  #young = new Map<string, Row>()
  #old = new Map<string, Row>()
  readonly #packed = new Map<string, Uint8Array>()
  #share: Share = { mask: 0, value: 0 }
  #first: { seq: number; stream: string } | undefined
  #differing = 0

  constructor(reader: StoreReader, { generation }: StoredHead, rowsMax: number = limits.verifyRowsMax) {
    this.#reader = reader
    this.#generation = generation
    this.#rowsMax = rowsMax
  }

  /** Takes the next entry of a pass. */
  entry(entry: Entry): void {
    const { prev, seq, stream } = entry
    if (!this.#isMine(stream)) return
    const row = this.#take(stream)
    if (prev.stream !== (row?.last_seq ?? null)) {
      const what = `entry ${seq} names ${prev.stream} as the previous entry of ${stream}, not ${row?.last_seq ?? null}`
      throw differs('chain', what, { seq, stream })
    }
    this.#young.set(stream, evolveRow(row, entry))
    if (this.#young.size >= recentMax) this.#packOld()
  }

  /** Takes a stored row, after the last entry of a pass. */
  row(key: Uint8Array, stored: Uint8Array): void {
    const stream = keys.nameOfRowKey(key)
    const recent = this.#young.get(stream) ?? this.#old.get(stream)
    const derived = recent === undefined ? this.#packed.get(stream) : encode(key, storedRow(stream, recent))
    // The row belongs to another pass, or already matched. The number of rows shows that there are no extra ones.
    if (derived === undefined) return
    for (const rows of this.#all()) rows.delete(stream)
    if (!isSameRow(key, stored, derived)) this.#note(stream, decode<Row>(key, derived).last_seq)
  }

  /** Ends a pass. Returns true if another pass is needed. */
  endPass(): boolean {
    for (const [stream, row] of [...this.#young, ...this.#old]) this.#note(stream, row.last_seq)
    for (const [stream, bytes] of this.#packed) {
      this.#note(stream, decode<Row>(keys.rowKey(this.#generation, stream), bytes).last_seq)
    }
    if (this.#first !== undefined) {
      const what = `the row of ${this.#first.stream} is missing or differs from its entries`
      throw differs('rows', what, { ...this.#first, rows_differing: this.#differing })
    }
    const next = this.#putOff.pop()
    if (next !== undefined) this.#share = next
    return next !== undefined
  }

  /** Rows come in the order of their keys. The report names the row with the lowest seq. */
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
    return rowFrom(stream, decode<Row>(keys.rowKey(this.#generation, stream), packed), this.#entryAt)
  }

  readonly #entryAt = (seq: number): Entry | undefined => {
    const key = keys.entryKey(seq)
    const value = this.#reader.get(key)
    return value === undefined ? undefined : decodeEntry(key, value)
  }

  #packOld(): void {
    for (const [stream, row] of this.#old) {
      const key = keys.rowKey(this.#generation, stream)
      const bytes = encode(key, storedRow(stream, row))
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

/** Whether two rows have the same bytes, or the same members in another order. */
function isSameRow(key: Uint8Array, stored: Uint8Array | undefined, derived: Uint8Array): boolean {
  if (stored === undefined) return false
  if (Buffer.compare(stored, derived) === 0) return true
  const [left, right] = [stored, derived].map((bytes) =>
    canonicalText(decode<Row<Json>>(key, bytes) as unknown as Json),
  )
  return left === right
}

/** Compares the stored receipts with receipts derived from the entries. Errors: VERIFY_FAILED (`receipts`). */
export class ReceiptComparison implements Check {
  readonly #reader: StoreReader
  readonly #head: StoredHead
  readonly #blocks = new ReceiptBlocks()
  #compared = 0

  constructor(reader: StoreReader, head: StoredHead) {
    this.#reader = reader
    this.#head = head
  }

  entry(entry: Entry): void {
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

  end({ receipts }: Pick<Found, 'receipts'>): void {
    if (receipts === this.#compared) return
    throw differs('receipts', `the store has ${receipts} blocks of receipts, but the entries give ${this.#compared}`)
  }
}
