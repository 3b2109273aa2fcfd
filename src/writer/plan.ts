import { erasedBy, evolveRow, storedRow } from '../domain/aggregates.ts'
import { textsErasedBy } from '../domain/erasure/selection.ts'
import { refusedAsSealed } from '../domain/log/seal.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import { pinsInForce, policyStream } from '../domain/policy/state.ts'
import { isoTime, type Now } from '../kernel/clock.ts'
import type { LoadedState, Objects, Refusal, Row, StateChanges } from '../kernel/decider.ts'
import { type Entry, type EventDraft, entryOf, type Placement } from '../kernel/entry.ts'
import { isApart } from '../kernel/entry-time.ts'
import { eventIdOf, type RecordedActor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { TraceContext } from '../kernel/trace.ts'
import type { ErasedWrite } from '../log/erased.ts'
import { keyedDigest } from '../log/keyed-digest.ts'
import { type Log, type Recorded, tokenOffset, type ViewWrite } from '../log/log.ts'
import type { Loaded } from '../views/loaded.ts'
import { continuedRows } from './continued-rows.ts'
import { sha256Hex } from './core.ts'
import { lengthOf, recordedOf } from './recorded.ts'

/** The facts that all entries of a batch share. */
export interface BatchFacts {
  place?: string | undefined
  /** The secret of digests in entries. A ledger of format 1 has none. */
  digestKey: Uint8Array | undefined
  firstSeq: number
  /** The format in which entries are recorded. */
  format: number
  ledgerId: string
  time: string
  tokenOffset: number
  /** The wall-clock time, if it differs from `time`. */
  wallTime: string | undefined
}

/** The facts that a command adds to each of its entries. */
export interface CommandFacts {
  actor: RecordedActor
  correlationId?: string | undefined
  request?: { key: string; sha256: string } | undefined
  trace?: TraceContext | undefined
}

/** What is written together with a command's events. */
interface With {
  changes?: StateChanges | undefined
  notes?: readonly number[] | undefined
  objects?: Objects | undefined
}

/**
 * A batch while it is decided: its entries so far, the rows they changed, and the requests they answer. A plan
 * publishes nothing, so it can be thrown away without effect. Reads throw `notLoaded` for what is not in memory.
 */
export class Plan {
  readonly recorded: Recorded[] = []
  readonly rows = new Map<string, Row>()
  /** The batch's changes to sovereign state; undefined deletes a row. */
  readonly state = new Map<string, unknown>()
  /** The objects that the batch stores, and those that it erases, with the seq of the entry that records it. */
  readonly objects = new Map<string, string | number>()
  /** The free texts of earlier entries that the batch erases: their paths, by the seq of the entry. */
  readonly texts = new Map<number, readonly string[]>()
  /** Notes of stored objects that this batch's entries name. */
  readonly notes: number[] = []
  readonly #requests = new Map<string, readonly Entry[]>()
  #bytes = 0
  #pins: Entry['policy_versions'] | undefined
  #facts: BatchFacts
  readonly #ground: Loaded

  constructor(facts: BatchFacts, ground: Loaded) {
    this.#facts = facts
    this.#ground = ground
    this.#pins = pinsInForce(ground.row(policyStream))
  }

  get size(): number {
    return this.#facts.firstSeq + this.recorded.length
  }

  /** The time of the next entry. */
  get time(): string {
    return this.#facts.time
  }

  get tokenOffset(): number {
    return this.#facts.tokenOffset
  }

  get firstSeq(): number {
    return this.#facts.firstSeq
  }

  row(stream: string): Row | undefined {
    return this.rows.get(stream) ?? this.#ground.row(stream)
  }

  /** The state that a decision may read. */
  readonly reader: LoadedState = {
    get: (stream) => this.row(stream),
    state: (key) => (this.state.has(key) ? this.state.get(key) : this.#ground.state(key)),
    object: (digest) => this.#ground.object(digest),
    digest: sha256Hex,
  }

  /** The refusal of every command, if this place does not have the ledger any more. */
  get sealed(): Refusal | undefined {
    return refusedAsSealed(this.row(ledgerStream), this.#facts.place)
  }

  get isFull(): boolean {
    return this.recorded.length >= limits.batchEntriesMax || this.#bytes >= limits.batchBytesMax
  }

  /** An entry of this batch or an earlier one. */
  entry(seq: number): Entry | undefined {
    return this.ownEntry(seq) ?? this.#ground.entry(seq)
  }

  ownEntry(seq: number): Entry | undefined {
    return this.recorded[seq - this.#facts.firstSeq]?.entry
  }

  /** Lets a later request of this batch with the same key get the same answer. */
  remember({ actor, request }: CommandFacts, entries: readonly Entry[]): void {
    if (request !== undefined) this.#requests.set(`${actor.actor_id}\n${request.key}`, entries)
  }

  remembered(actorId: string, key: string): readonly Entry[] | undefined {
    return this.#requests.get(`${actorId}\n${key}`)
  }

  /** The digest of a request as its entries state it. */
  digestOf(sha256: string): string {
    const { digestKey, format } = this.#facts
    return format < 2 || digestKey === undefined ? sha256 : keyedDigest(digestKey, sha256)
  }

  /**
   * Adds all events of one command, or none if one is too large. `rows` are rows that the command derived again, without
   * the texts that it erases. Errors: LIMIT_EXCEEDED.
   */
  add(events: readonly EventDraft[], facts: CommandFacts, rows?: ReadonlyMap<string, Row>): Entry[] {
    // This reads entries, so it comes before the first effect.
    const derived = rows && continuedRows(rows, this)
    const recorded: Recorded[] = []
    const changed = new Map<string, Row>()
    const { request } = facts
    const stated = request && { ...facts, request: { key: request.key, sha256: this.digestOf(request.sha256) } }
    // From the reset on, `time` is the wall-clock time.
    if (events[0]?.type === 'clock.reset') this.#followWallClock()
    for (const event of events) {
      const before = changed.get(event.stream) ?? this.row(event.stream)
      const entry = entryOf(event, this.#placement(recorded.length, events.length, before, stated ?? facts))
      recorded.push(recordedOf(entry, this.#facts.format))
      changed.set(event.stream, evolveRow(before, entry))
    }
    for (const each of recorded) {
      this.#bytes += lengthOf(each)
      for (const digest of erasedBy(each.entry)) this.objects.set(digest, each.entry.seq)
      for (const { paths, seq } of textsErasedBy(each.entry)) this.#eraseTexts(seq, paths)
    }
    this.recorded.push(...recorded)
    for (const [stream, row] of derived ?? []) this.rows.set(stream, row)
    for (const [stream, row] of changed) this.rows.set(stream, row)
    if (changed.has(policyStream)) this.#pins = pinsInForce(changed.get(policyStream))
    return recorded.map(({ entry }) => entry)
  }

  /**
   * Adds the data that goes with a command's events: rows of sovereign state, the objects that the events name, and
   * the notes to remove.
   */
  addWith({ changes, notes, objects }: With): void {
    if (changes !== undefined) {
      for (const [key, row] of changes) this.state.set(key, row)
      // About as many bytes as a row of sovereign state has.
      this.#bytes += changes.size * 400
    }
    if (notes !== undefined) this.notes.push(...notes)
    for (const [digest, text] of objects ?? []) {
      this.objects.set(digest, text)
      this.#bytes += text.length
    }
  }

  /** Everything that is derived from the batch's entries or goes with them, as writes. */
  writes(): (ErasedWrite | ViewWrite)[] {
    const writes: (ErasedWrite | ViewWrite)[] = []
    for (const [key, value] of this.rows) writes.push({ view: 'row', key, value: storedRow(key, value) })
    for (const [key, value] of this.state) writes.push({ view: 'state', key, value })
    for (const [key, value] of this.objects) {
      writes.push(typeof value === 'number' ? { view: 'erased', key, value } : { view: 'object', key, value })
    }
    for (const [key, value] of this.texts) writes.push({ view: 'texts', key, value })
    for (const key of this.notes) writes.push({ view: 'note', key })
    return writes
  }

  #eraseTexts(seq: number, paths: readonly string[]): void {
    this.texts.set(seq, [...(this.texts.get(seq) ?? []), ...paths])
    this.#bytes += limits.entryBytes
  }

  #followWallClock(): void {
    const { time, wallTime = time } = this.#facts
    this.#facts = { ...this.#facts, time: wallTime, wallTime: undefined }
  }

  #placement(index: number, count: number, before: Row | undefined, facts: CommandFacts): Placement {
    const seq = this.size + index
    const { request } = facts
    return {
      actor: facts.actor,
      correlationId: facts.correlationId,
      eventId: eventIdOf(this.#facts.ledgerId, seq),
      pins: this.#pins,
      previous: before?.last_seq ?? null,
      request: request && { count, index, key: request.key, sha256: request.sha256 },
      seq,
      time: this.#facts.time,
      trace: facts.trace,
      wallTime: this.#facts.wallTime,
    }
  }
}

/**
 * An empty plan for the next batch. It follows the batch that is being written, if there is one, and otherwise the
 * log. `lastMillis` is the time of the last entry, which the next one never precedes.
 */
export function planAfter(
  before: Plan | undefined,
  { ground, lastMillis, log, now }: { ground: Loaded; lastMillis: number; log: Log; now: Now },
): Plan {
  const timeMillis = Math.max(now.wall_ms, lastMillis)
  const facts = {
    digestKey: log.meta.digest_key,
    firstSeq: before?.size ?? log.head().size,
    format: log.meta.format,
    ledgerId: log.meta.ledger_id,
    place: log.meta.place,
    time: isoTime(timeMillis),
    tokenOffset: tokenOffset(log.meta),
    wallTime: isApart(timeMillis, now.wall_ms) ? isoTime(now.wall_ms) : undefined,
  }
  return new Plan(facts, ground)
}
