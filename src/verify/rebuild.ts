import { evolveRow, rowFrom, storedRow } from '../domain/aggregates.ts'
import { invariant } from '../errors.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { corruptAt } from '../log/corrupt.ts'
import type { KeyedLog } from '../log/keyed/log.ts'
import type { ViewWrite } from '../log/log.ts'
import { changesOf } from '../views/derived-state.ts'
import { horizon, ReceiptBlocks } from '../views/receipts.ts'
import { keepReplaced } from './replaced-rows.ts'

/** A generation is one byte of a key, and the next byte value bounds its range. */
const generationMax = 250
export const generations: readonly number[] = Array.from({ length: generationMax }, (_, index) => index + 1)
const rowsPerBatch = 4_096

/** The result of a rebuild. */
export interface Rebuilt {
  entries: number
  generation: number
  /** How many replaced rows were kept. */
  kept: number
  rows: number
}

export interface RebuildOptions {
  onProgress?: ((done: number, total: number) => void) | undefined
  /** The path of a file for the rows that are replaced. */
  replaced?: string | undefined
}

/**
 * Derives all rows and receipts again from the entries, into a new generation that one batch puts in force. No
 * entries may be appended meanwhile. After a crash either the old or the complete new generation is in force, and the
 * next rebuild deletes the other. Before that, rows that differ from the new ones are kept in the file `replaced`
 * (`keepReplaced`). The index of the new generation is empty and is derived when it is used (`SearchIndex`). Memory: `limits.rebuildRowsMax` rows; the other rows are in the store.
 */
export async function rebuildViews(log: KeyedLog, { onProgress, replaced }: RebuildOptions = {}): Promise<Rebuilt> {
  const { generation: before, size } = log.head()
  const generation = (before % generationMax) + 1
  await log.generations.clear(generations.filter((other) => other !== before))

  const rows = new RowsToBe(log, generation)
  const state = new StateToBe(log, generation)
  const blocks = new ReceiptBlocks()
  for await (const page of log.entries(0, size)) {
    const receipts: ViewWrite[] = []
    for (const entry of page) {
      rows.evolve(entry)
      state.next(entry)
      const block = entry.seq < horizon(size) ? undefined : blocks.next(entry)
      if (block !== undefined) receipts.push({ view: 'receipts', key: block.block, value: block.value })
    }
    if (receipts.length > 0) await log.generations.fill(generation, receipts)
    await rows.makeRoom()
    await state.makeRoom()
    onProgress?.((page.at(-1)?.seq ?? 0) + 1, size)
  }
  await rows.writeAll()
  await state.writeAll()

  invariant(log.head().size === size, 'no entries are appended while the views are rebuilt')
  const kept = replaced === undefined ? 0 : await keepReplaced(log, [before, generation], replaced)
  await log.switchTo(generation)
  await log.generations.clear([before])
  return { entries: size, generation, kept, rows: rows.count }
}

/**
 * The rows of a new generation. Recently used rows are in memory, in two generations as in `Recent`. The others are
 * written to the store, and read back when their stream continues.
 */
export class RowsToBe {
  readonly #log: KeyedLog
  readonly #generation: number
  #young = new Map<string, Row>()
  #old = new Map<string, Row>()
  /** The number of rows, in memory and in the store. */
  count = 0

  constructor(log: KeyedLog, generation: number) {
    this.#log = log
    this.#generation = generation
  }

  evolve(entry: Entry): void {
    this.#young.set(entry.stream, evolveRow(this.#before(entry), entry))
  }

  async makeRoom(): Promise<void> {
    if (this.#young.size < limits.rebuildRowsMax / 2) return
    await this.#write(this.#old)
    this.#old = this.#young
    this.#young = new Map()
  }

  async writeAll(): Promise<void> {
    await this.#write(this.#old)
    await this.#write(this.#young)
  }

  /** `prev` marks the first entry of a stream, so a new stream costs no read. */
  #before({ prev, seq, stream }: Entry): Row | undefined {
    const inMemory = this.#young.get(stream) ?? this.#old.get(stream)
    const row = inMemory ?? (prev.stream === null ? undefined : this.#stored(stream))
    if ((row?.last_seq ?? null) !== prev.stream) {
      throw corruptAt(seq, `entry ${seq} does not follow the previous entry of ${stream}`)
    }
    if (row === undefined) this.count += 1
    this.#old.delete(stream)
    return row
  }

  #stored(stream: string): Row | undefined {
    const stored = this.#log.generations.get(this.#generation, { view: 'row', key: stream }) as Row | undefined
    return stored && rowFrom(stream, stored, (seq) => this.#log.entry(seq))
  }

  #write(rows: ReadonlyMap<string, Row>): Promise<void> {
    return fillAll(this.#log, this.#generation, rows, (key, row) => ({ view: 'row', key, value: storedRow(key, row) }))
  }
}

/** The sovereign state of a new generation. Changes since the last write are in memory. */
export class StateToBe {
  readonly #log: KeyedLog
  readonly #generation: number
  #changed = new Map<string, unknown>()

  constructor(log: KeyedLog, generation: number) {
    this.#log = log
    this.#generation = generation
  }

  next(entry: Entry): void {
    const before = (key: string) =>
      this.#changed.has(key)
        ? this.#changed.get(key)
        : this.#log.generations.get(this.#generation, { view: 'state', key })
    const changes = changesOf(entry, before, (digest) =>
      JSON.parse(String(this.#log.get({ view: 'object', key: digest }))),
    )
    for (const [key, row] of changes) this.#changed.set(key, row)
  }

  async makeRoom(): Promise<void> {
    if (this.#changed.size >= limits.rebuildRowsMax) await this.writeAll()
  }

  async writeAll(): Promise<void> {
    const changed = this.#changed
    this.#changed = new Map()
    await fillAll(this.#log, this.#generation, changed, (key, value) => ({ view: 'state', key, value }))
  }
}

/** Writes all rows of a kind to a new generation, in batches. */
async function fillAll<V>(
  log: KeyedLog,
  generation: number,
  rows: ReadonlyMap<string, V>,
  writeOf: (key: string, value: V) => ViewWrite,
): Promise<void> {
  let writes: ViewWrite[] = []
  for (const [key, value] of rows) {
    writes.push(writeOf(key, value))
    if (writes.length < rowsPerBatch) continue
    await log.generations.fill(generation, writes)
    writes = []
  }
  if (writes.length > 0) await log.generations.fill(generation, writes)
}
