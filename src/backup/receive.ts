import { erasedBy, evolveRow, objectsOf, storedRow } from '../domain/aggregates.ts'
import { textsErasedBy, withoutTexts } from '../domain/erasure/selection.ts'
import { LockstepError } from '../errors.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { type ErasedWrite, erasureCursor } from '../log/erased.ts'
import { entryWithTexts } from '../log/free-texts.ts'
import { leafHashOfText } from '../log/leaf.ts'
import type { Cursors, Key, Log, LogReader, Recorded, ViewWrite } from '../log/log.ts'
import { rootOf } from '../log/tiles.ts'
import { hashBytes, sameBytes } from '../merkle/hash.ts'
import { tileWidth } from '../merkle/tiles.ts'
import { changesOf } from '../views/derived-state.ts'
import { Receipts } from '../views/receipts.ts'
import { rowsWithout } from '../views/rows-without.ts'
import { Views } from '../views/views.ts'

type Writes = (ErasedWrite | ViewWrite)[]
type ErasedObject = Extract<ErasedWrite, { view: 'erased' }>

/**
 * A place that receives the entries of a ledger. Rows, sovereign state and receipts are derived from the entries as they
 * come, in the same appends, as the writer derives them; the search index follows when it is first used. After a crash
 * the place has a prefix of the ledger, and receiving goes on from there.
 */
export class Receiver {
  readonly log: Log
  readonly #views: Views
  readonly #receipts: Receipts

  constructor(log: Log) {
    this.log = log
    this.#views = new Views(log)
    this.#receipts = new Receipts(log)
  }

  /**
   * Receives the entries before `to`, with their objects and erasures. `cursors` are stored with the last of them. Errors:
   * LEDGER_CORRUPT (of either place), LEDGER_UNAVAILABLE. Memory: one batch.
   */
  async take(
    from: Log,
    { cursors, onProgress, to }: { cursors?: Cursors; onProgress?: (done: number) => void; to: number },
  ): Promise<void> {
    await this.#receipts.loaded()
    for await (const page of pagesOf(from, this.log.head().size, to)) {
      const isLast = this.log.head().size + page.length === to
      await this.#append(from, page, isLast && cursors !== undefined ? cursors : this.log.head().cursors)
      onProgress?.(this.log.head().size)
    }
  }

  async #append(from: Log, page: readonly Recorded[], cursors: Cursors): Promise<void> {
    const { size } = this.log.head()
    const entries = page.map(({ entry }) => entry)
    const { notes, erased, firstErasure } = await this.#receiveObjects(from, entries)
    const { texts, without } = await this.#erasedTexts(entries)
    await this.#views.load([...new Set(entries.map(({ stream }) => stream))].map((key): Key => ({ view: 'row', key })))
    const { rows, state } = await this.#views.untilLoaded(() => this.#derived(entries, without))
    const writes: Writes = [...this.#receipts.take(entries), ...erased]
    for (const [key, row] of rows) writes.push({ view: 'row', key, value: storedRow(key, row) })
    for (const [key, value] of state) writes.push({ view: 'state', key, value })
    for (const key of notes) writes.push({ view: 'note', key })
    for (const [key, value] of texts) writes.push({ view: 'texts', key, value })
    const firstText = entries.find((entry) => textsErasedBy(entry).some(({ seq }) => texts.has(seq)))?.seq
    const first = Math.min(firstErasure ?? Number.POSITIVE_INFINITY, firstText ?? Number.POSITIVE_INFINITY)
    const left = this.log.head().cursors[erasureCursor] ?? (Number.isFinite(first) ? first : undefined)
    const purged = left === undefined ? cursors : { ...cursors, [erasureCursor]: left }
    const { outcome } = await this.log.append({ size }, page, writes, purged)
    if (outcome === 'moved') throw otherWriter()
    this.#views.publish(rows, state, new Map(erased.map(({ key, value }) => [key, value])), texts)
  }

  /**
   * Stores the objects that entries name, a few at once, and finds the marks of those that were erased. `firstErasure` is
   * the first of these entries that erases a text that this place had received: the next open removes its bytes.
   */
  async #receiveObjects(
    from: Log,
    entries: readonly Entry[],
  ): Promise<{ erased: ErasedObject[]; firstErasure: number | undefined; notes: number[] }> {
    const erased = new Map<string, number>()
    let firstErasure: number | undefined
    const notes: number[] = []
    let texts: [digest: string, text: string][] = []
    let chars = 0
    const store = async () => {
      notes.push(...(await this.log.objects.put(texts, this.log.head().size)))
      texts = []
      chars = 0
    }
    for (const entry of entries) {
      const named = [...new Set(await digestsIn(from, entry))]
      const wanted = new Set(named.length === 0 ? [] : await this.log.objects.missing(named))
      for (const digest of named) {
        const seq = await from.objects.erasedAt(digest)
        if (seq !== undefined) erased.set(digest, seq)
        else if (wanted.has(digest)) {
          const [text] = (await from.load([{ view: 'object', key: digest }])) as [string]
          texts.push([digest, text])
          chars += text.length
          if (chars > limits.batchBytesMax) await store()
        }
      }
      const gone = erasedBy(entry)
      for (const digest of gone) erased.set(digest, entry.seq)
      if (gone.length > 0 && (await this.log.objects.missing(gone)).length < gone.length) firstErasure ??= entry.seq
    }
    if (texts.length > 0) await store()
    return { firstErasure, notes, erased: [...erased].map(([key, value]) => ({ view: 'erased', key, value })) }
  }

  /** The free texts that these entries erase and this place has received, and the rows that held them without them. */
  async #erasedTexts(
    entries: readonly Entry[],
  ): Promise<{ texts: Map<number, readonly string[]>; without: ReadonlyMap<string, Row> }> {
    const texts = new Map<number, readonly string[]>()
    for (const { paths, seq } of entries.flatMap(textsErasedBy)) {
      if (seq < this.log.head().size) texts.set(seq, [...(texts.get(seq) ?? []), ...paths])
    }
    const seqs = [...texts.keys()]
    const before = (await this.log.load(seqs.map((key): Key => ({ view: 'entry', key })))) as Entry[]
    const erased = new Map(before.map((entry) => [entry.seq, withoutTexts(entry, texts.get(entry.seq) ?? [])]))
    return { texts, without: await rowsWithout(this.#views, erased) }
  }

  #derived(
    entries: readonly Entry[],
    without: ReadonlyMap<string, Row>,
  ): { rows: Map<string, Row>; state: Map<string, unknown> } {
    const { loaded } = this.#views
    const rows = new Map(without)
    const state = new Map<string, unknown>()
    const before = (key: string) => (state.has(key) ? state.get(key) : loaded.state(key))
    for (const entry of entries) {
      rows.set(entry.stream, evolveRow(rows.get(entry.stream) ?? loaded.row(entry.stream), entry))
      for (const [key, row] of changesOf(entry, before, loaded.object)) state.set(key, row)
    }
    return { rows, state }
  }
}

/** The entries of one append. */
const pageEntries = 1_024

/** The entries of a range as they are stored, in pages for one append each. Errors: LEDGER_CORRUPT. */
async function* pagesOf(log: LogReader, from: number, to: number): AsyncGenerator<Recorded[]> {
  let page: Recorded[] = []
  let chars = 0
  for await (const stored of log.storedEntries(from, to)) {
    for (const each of stored) {
      page.push({ ...each, entry: entryWithTexts(JSON.parse(each.text) as Entry, each) })
      chars += each.text.length
      if (page.length < pageEntries && chars < limits.batchBytesMax) continue
      yield page
      page = []
      chars = 0
    }
  }
  if (page.length > 0) yield page
}

async function digestsIn(log: LogReader, entry: Entry): Promise<string[]> {
  const proposal = entry.type === 'turn.staged' ? String(entry.data.manifest_digest) : undefined
  const [text = ''] = proposal === undefined ? [] : ((await log.load([{ view: 'object', key: proposal }])) as string[])
  return [...objectsOf(entry, () => text)].map(({ digest }) => digest)
}

/**
 * Reads the entries of a range back, and checks that they are those of the tree with a root at `to`. Errors:
 * VERIFY_FAILED. Cost: a pass over these entries.
 */
export async function verifyReceived(
  log: LogReader,
  { from, root, to }: { from: number; root: Uint8Array; to: number },
): Promise<void> {
  let at = from
  let tile = new Uint8Array()
  for await (const page of log.storedEntries(from, to)) {
    for (const { text } of page) {
      const place = (at % tileWidth) * hashBytes
      if (at === from || place === 0) {
        const key = { level: 0, index: Math.floor(at / tileWidth) }
        tile = (await log.load([{ view: 'tile', key }]))[0] as Uint8Array<ArrayBuffer>
      }
      if (!sameBytes(tile.subarray(place, place + hashBytes), leafHashOfText(text))) throw different(at)
      at += 1
    }
  }
  if (!sameBytes(await rootOf(log, to), root)) throw different(to)
}

function different(seq: number): LockstepError {
  return new LockstepError('VERIFY_FAILED', `entry ${seq} in the new place is not the entry that was sent`, {
    details: { check: 'entries', seq },
  })
}

function otherWriter(): LockstepError {
  return new LockstepError('LEDGER_UNAVAILABLE', 'another process writes to the new place', {
    details: { outcome: 'not_applied' },
    hint: 'Run the command again once that process has ended.',
  })
}
