import { hash } from 'node:crypto'
import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../log/log.ts'
import type { ViewWrite } from '../log/view-write.ts'
import { ReceiptTable } from './receipt-table.ts'

/** Receipts are stored a block of entries at a time: 8 bytes an entry, zeros where an entry is no receipt. */
const blockEntries = 256
const fingerprintBytes = 8

/**
 * Which request, and which lock acquisition, each of the last 2^20 entries belongs to: so a repeated request finds
 * its first answer, and a lock_id its lock. One row in 256 entries, so that the hot path pays no put for it; the
 * block not yet full is read from the entries themselves (ADR 0003).
 */
export class Receipts {
  readonly #log: Log
  readonly #table = new ReceiptTable()
  #openBlock = new BigUint64Array(blockEntries)
  #size = 0
  #isLoaded = false
  readonly #fingerprints = new Map<Entry, bigint>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Seqs of entries that may be the first of this actor's request, or the grant of its lock_ref. */
  candidates(actorId: string, key: string): number[] {
    this.#load()
    return this.#table.find(fingerprint(actorId, key), horizon(this.#size))
  }

  /** The rows that an append of these entries completes, and those that it passes. Changes nothing. */
  writesFor(entries: readonly Entry[]): ViewWrite[] {
    this.#load()
    // The last entries of most batches leave their block open, and then there is nothing to write.
    if ((this.#size % blockEntries) + entries.length < blockEntries) return []
    const writes: ViewWrite[] = []
    let block = this.#openBlock.slice()
    let size = this.#size
    for (const entry of entries) {
      block[size % blockEntries] = this.#fingerprintOf(entry)
      size += 1
      if (size % blockEntries === 0) {
        writes.push({ view: 'receipts', key: size / blockEntries - 1, value: bytesOf(block) })
        block = new BigUint64Array(blockEntries)
      }
    }
    for (let passed = horizon(this.#size) / blockEntries; passed < horizon(size) / blockEntries; passed += 1) {
      writes.push({ view: 'receipts', key: passed, value: undefined })
    }
    return writes
  }

  /** Takes over entries that are durable. */
  publish(entries: readonly Entry[]): void {
    this.#load()
    for (const entry of entries) this.#take(this.#fingerprintOf(entry))
    this.#fingerprints.clear()
    this.#table.forgetBefore(horizon(this.#size), limits.receiptEntries)
  }

  /** Asked for when an entry is written and again when it is published. */
  #fingerprintOf(entry: Entry): bigint {
    const known = this.#fingerprints.get(entry)
    if (known !== undefined) return known
    const receipt = fingerprintOf(entry)
    this.#fingerprints.set(entry, receipt)
    return receipt
  }

  #take(receipt: bigint): void {
    if (receipt !== 0n) this.#table.add(receipt, this.#size)
    this.#openBlock[this.#size % blockEntries] = receipt
    this.#size += 1
    if (this.#size % blockEntries === 0) this.#openBlock = new BigUint64Array(blockEntries)
  }

  /** Reads the blocks when they are first asked for; a ledger that is only looked at never pays for them. */
  #load(): void {
    if (this.#isLoaded) return
    this.#isLoaded = true
    const { size } = this.#log.head()
    this.#size = horizon(size)
    while (this.#size + blockEntries <= size) {
      const stored = this.#log.receipts(this.#size / blockEntries)
      const block = stored === undefined ? undefined : fingerprintsOf(stored)
      for (let at = 0; at < blockEntries; at += 1) this.#take(block?.[at] ?? 0n)
    }
    for (let seq = this.#size; seq < size; seq += 1) {
      const entry = this.#log.entry(seq)
      this.#take(entry === undefined ? 0n : fingerprintOf(entry))
    }
  }
}

/** Receipts before this seq are gone: whole blocks, so that a rebuild gives the same set. */
export function horizon(size: number): number {
  return Math.max(0, Math.floor((size - limits.receiptEntries) / blockEntries)) * blockEntries
}

/** The receipt rows of a log, made anew from its entries: for a rebuild and for its comparison. */
export class ReceiptBlocks {
  #block = new BigUint64Array(blockEntries)

  /** The row that this entry completes, if any. Entries come in order, from the start of a block. */
  next(entry: Entry): { block: number; value: Uint8Array } | undefined {
    this.#block[entry.seq % blockEntries] = fingerprintOf(entry)
    if ((entry.seq + 1) % blockEntries !== 0) return undefined
    const value = bytesOf(this.#block)
    this.#block = new BigUint64Array(blockEntries)
    return { block: (entry.seq + 1) / blockEntries - 1, value }
  }
}

/** A grant is found by its lock_ref, another request by the key of its first entry. */
function fingerprintOf(entry: Entry): bigint {
  if (entry.type === 'lock.acquired') return fingerprint(entry.actor.actor_id, String(entry.data.lock_ref))
  if (entry.request?.index === 0) return fingerprint(entry.actor.actor_id, entry.request.key)
  return 0n
}

function fingerprint(actorId: string, key: string): bigint {
  // A digest as hex is half the cost of one as a Buffer.
  return BigInt(`0x${hash('sha256', `${actorId}\n${key}`, 'hex').slice(0, 16)}`) || 1n
}

function bytesOf(block: BigUint64Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(blockEntries * fingerprintBytes)
  block.forEach((receipt, at) => {
    bytes.writeBigUInt64BE(receipt, at * fingerprintBytes)
  })
  return bytes
}

function fingerprintsOf(bytes: Uint8Array): BigUint64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return BigUint64Array.from({ length: blockEntries }, (_, at) => view.getBigUint64(at * fingerprintBytes))
}
