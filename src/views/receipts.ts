import { hash } from 'node:crypto'
import type { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { corrupt } from '../log/corrupt.ts'
import type { Key, Log, ReceiptsWrite } from '../log/log.ts'
import { ReceiptTable } from './receipt-table.ts'

/** Receipts are stored in blocks of entries: 8 bytes per entry, or zeros if the entry has no receipt. */
export const blockEntries = 256
const fingerprintBytes = 8
/** This many lookups search the stored blocks directly. Each costs about a hundredth of building the table. */
const scansMax = 32

/**
 * Maps requests and lock acquisitions to their entries, for the last 2^20 entries including those about to be
 * appended. So a repeated request finds its first answer, and a lock_id its lock. One row is stored per 256 entries,
 * so the hot path seldom pays for a put. The last, incomplete block is read from the entries (ADR 0003).
 */
export class Receipts {
  readonly #log: Log
  #table = new ReceiptTable()
  /**
   * The stored blocks, until there were enough lookups. A process with a single lookup would spend more time on
   * building the table than on everything else.
   */
  #stored: { bytes: Buffer; first: number } | undefined
  #lookups = 0
  #openBlock = new BigUint64Array(blockEntries)
  #size = 0
  /** Whether the other methods may be called. */
  isLoaded = false

  constructor(log: Log) {
    this.#log = log
  }

  /** Seqs of entries that may be the first of this actor's request, or the grant of its lock_ref. */
  candidates(actorId: string, key: string): number[] {
    this.#lookups += 1
    if (this.#lookups > scansMax) this.#tabulate()
    const wanted = fingerprint(actorId, key)
    const from = horizon(this.#size)
    return [...this.#scan(wanted, from), ...this.#table.find(wanted, from)]
  }

  /**
   * Takes entries that are about to be appended. Returns the rows that they complete, and deletions of the rows that
   * they make too old.
   */
  take(entries: readonly Entry[]): ReceiptsWrite[] {
    const writes: ReceiptsWrite[] = []
    const passed = horizon(this.#size) / blockEntries
    for (const entry of entries) {
      const block = this.#take(fingerprintOf(entry))
      if (block !== undefined) {
        writes.push({ view: 'receipts', key: this.#size / blockEntries - 1, value: bytesOf(block) })
      }
    }
    for (let block = passed; block < horizon(this.#size) / blockEntries; block += 1) {
      writes.push({ view: 'receipts', key: block, value: undefined })
    }
    this.#table.forgetBefore(horizon(this.#size), limits.receiptEntries)
    return writes
  }

  /** Forgets everything, including entries that were taken but never appended. The next lookup reads the log again. */
  clear(): void {
    this.#table = new ReceiptTable()
    this.#stored = undefined
    this.#openBlock = new BigUint64Array(blockEntries)
    this.#size = 0
    this.isLoaded = false
  }

  /** The seqs of a receipt in the stored blocks. Empty once the blocks are in the table. */
  #scan(receipt: bigint, from: number): number[] {
    if (this.#stored === undefined) return []
    const { bytes, first } = this.#stored
    const wanted = Buffer.alloc(fingerprintBytes)
    wanted.writeBigUInt64BE(receipt)
    const seqs: number[] = []
    for (let at = bytes.indexOf(wanted); at !== -1; at = bytes.indexOf(wanted, at + 1)) {
      const seq = first + at / fingerprintBytes
      if (at % fingerprintBytes === 0 && seq >= from) seqs.push(seq)
    }
    return seqs
  }

  #tabulate(): void {
    if (this.#stored === undefined) return
    const { bytes, first } = this.#stored
    this.#stored = undefined
    for (let at = 0; at < bytes.length; at += fingerprintBytes) {
      const receipt = bytes.readBigUInt64BE(at)
      if (receipt !== 0n) this.#table.add(receipt, first + at / fingerprintBytes)
    }
  }

  /** Returns the block that this receipt completes, if any. */
  #take(receipt: bigint): BigUint64Array | undefined {
    if (receipt !== 0n) this.#table.add(receipt, this.#size)
    const block = this.#openBlock
    block[this.#size % blockEntries] = receipt
    this.#size += 1
    if (this.#size % blockEntries !== 0) return undefined
    this.#openBlock = new BigUint64Array(blockEntries)
    return block
  }

  /** Reads the blocks, once. A ledger that is only read never pays for them. */
  async loaded(): Promise<void> {
    if (this.isLoaded) return
    const { size } = this.#log.head()
    const first = horizon(size)
    const whole = Math.floor(size / blockEntries)
    const keys = Array.from({ length: whole - first / blockEntries }, (_, at) => first / blockEntries + at)
    const blocks = await this.#log.load(keys.map((key): Key => ({ view: 'receipts', key })))
    blocks.forEach((block, at) => {
      if (block === undefined) throw missing((keys[at] ?? 0) * blockEntries)
    })
    const rest = Array.from({ length: size - whole * blockEntries }, (_, at) => whole * blockEntries + at)
    const entries = await this.#log.load(rest.map((key): Key => ({ view: 'entry', key })))
    // Another caller may have loaded them meanwhile, or another writer may have appended.
    if (this.isLoaded) return
    if (this.#log.head().size !== size) return this.loaded()
    this.clear()
    this.#stored = { bytes: Buffer.concat(blocks as Uint8Array[]), first }
    this.#size = whole * blockEntries
    for (const entry of entries) this.#take(fingerprintOf(entry as Entry))
    this.isLoaded = true
  }
}

/** Without receipts a repeated request would be executed twice, so appending stops. */
function missing(seq: number): LockstepError {
  const what = `the receipts of the entries from ${seq} on are missing; "lockstep verify --rebuild" restores them`
  return corrupt(what, { check: 'receipts', seq })
}

/** Receipts before this seq are deleted. The seq is a multiple of the block size, so a rebuild gives the same rows. */
export function horizon(size: number): number {
  return Math.max(0, Math.floor((size - limits.receiptEntries) / blockEntries)) * blockEntries
}

/** Derives the receipt rows of a log from its entries, for a rebuild and for comparison. */
export class ReceiptBlocks {
  #block = new BigUint64Array(blockEntries)

  /** The row that this entry completes, if any. Entries must come in order, from the start of a block. */
  next(entry: Entry): { block: number; value: Uint8Array } | undefined {
    this.#block[entry.seq % blockEntries] = fingerprintOf(entry)
    if ((entry.seq + 1) % blockEntries !== 0) return undefined
    const value = bytesOf(this.#block)
    this.#block = new BigUint64Array(blockEntries)
    return { block: (entry.seq + 1) / blockEntries - 1, value }
  }
}

/** The fingerprint of a grant uses its lock_ref; that of another request uses the key of its first entry. */
function fingerprintOf(entry: Entry): bigint {
  if (entry.type === 'lock.acquired') return fingerprint(entry.actor.actor_id, String(entry.data.lock_ref))
  if (entry.request?.index === 0) return fingerprint(entry.actor.actor_id, entry.request.key)
  return 0n
}

function fingerprint(actorId: string, key: string): bigint {
  // A hex digest costs half as much as a Buffer digest.
  return BigInt(`0x${hash('sha256', `${actorId}\n${key}`, 'hex').slice(0, 16)}`) || 1n
}

function bytesOf(block: BigUint64Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(blockEntries * fingerprintBytes)
  block.forEach((receipt, at) => {
    bytes.writeBigUInt64BE(receipt, at * fingerprintBytes)
  })
  return bytes
}
