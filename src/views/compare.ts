import { crc32 } from 'node:zlib'
import { evolveRow } from '../core/aggregates.ts'
import { canonicalText, type Json } from '../core/canonical.ts'
import type { Row } from '../core/decider.ts'
import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { decode, encode, unseal } from '../log/codec.ts'
import { differs } from '../log/corrupt.ts'
import type { Head } from '../log/head-row.ts'
import * as keys from '../log/keys.ts'
import type { StoreReader } from '../log/store.ts'
import { horizon, ReceiptBlocks } from './receipts.ts'

/** A stream between its first and its last entry: its row so far, and the seq at which the stored row is due. */
interface Open {
  row: Row
  last: number
}

/** The streams whose hash, under the mask, has this value. */
interface Share {
  mask: number
  value: number
}

/**
 * Derives every row anew and compares it with the stored one at the entry that the stored one calls its stream's
 * last; so only streams under way are in memory. Where those are too many, half of them are put off to another pass
 * over the entries, as often as it takes. Errors: VERIFY_FAILED (`chain`, `rows`).
 */
export class RowComparison {
  readonly #reader: StoreReader
  readonly #generation: number
  readonly #rowsMax: number
  readonly #putOff: Share[] = []
  readonly #open = new Map<string, Open>()
  #share: Share = { mask: 0, value: 0 }

  constructor(reader: StoreReader, { generation }: Head, rowsMax: number = limits.verifyRowsMax) {
    this.#reader = reader
    this.#generation = generation
    this.#rowsMax = rowsMax
  }

  /** Takes the next entry of a pass. Cost: a read at the first and at the last entry of a stream. */
  next(entry: Entry): void {
    const { seq, stream } = entry
    if (!this.#isMine(stream)) return
    const open = this.#open.get(stream)
    const last = open?.last ?? this.#lastOf(entry)
    const before = open?.row.last_seq ?? null
    if (entry.prev.stream !== before) {
      const what = `entry ${seq} names ${entry.prev.stream} as the one before it in ${stream}, which is ${before}`
      throw differs('chain', what, { seq, stream })
    }
    const row = evolveRow(open?.row, entry)
    if (seq < last) {
      if (open === undefined) this.#open.set(stream, { row, last })
      else open.row = row
      if (this.#open.size > this.#rowsMax) this.#putHalfOff()
    } else {
      this.#compare(stream, row)
      this.#open.delete(stream)
    }
  }

  /** Ends a pass; true where another one has to follow. */
  endPass(): boolean {
    for (const [stream, { row, last }] of this.#open) {
      const seq = row.last_seq
      throw differs('rows', `the row of ${stream} knows an entry ${last}, the last of it is ${seq}`, { seq, stream })
    }
    const next = this.#putOff.pop()
    if (next !== undefined) this.#share = next
    return next !== undefined
  }

  /** What the stored row calls its stream's last entry. */
  #lastOf({ seq, stream }: Entry): number {
    const key = keys.rowKey(this.#generation, stream)
    const stored = this.#reader.get(key)
    if (stored === undefined) throw differs('rows', `the row of ${stream} is missing`, { seq, stream })
    const { last_seq } = decode<Row>(key, stored)
    if (last_seq >= seq) return last_seq
    const what = `the row of ${stream} calls entry ${last_seq} the last of it, but entry ${seq} is of it too`
    throw differs('rows', what, { seq, stream })
  }

  #compare(stream: string, row: Row): void {
    const key = keys.rowKey(this.#generation, stream)
    const stored = this.#reader.get(key) ?? new Uint8Array(0)
    if (Buffer.compare(encode(key, row), stored) === 0) return
    // The same members in another order are the same row.
    if (canonicalText(decode<Row>(key, stored) as unknown as Json) === canonicalText(row as unknown as Json)) return
    const seq = row.last_seq
    throw differs('rows', `the row of ${stream} is not what its entries give`, { seq, stream })
  }

  #putHalfOff(): void {
    const { mask, value } = this.#share
    const half = { mask: mask * 2 + 1, value }
    this.#putOff.push({ ...half, value: value + mask + 1 })
    this.#share = half
    for (const stream of this.#open.keys()) if (!this.#isMine(stream)) this.#open.delete(stream)
  }

  #isMine(stream: string): boolean {
    const { mask, value } = this.#share
    return mask === 0 || (crc32(stream) & mask) === value
  }
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
