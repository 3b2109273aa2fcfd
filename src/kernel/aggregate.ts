import type * as z from 'zod'
import type { Command, Context, Decision, LoadedState } from './decider.ts'
import type { Entry } from './entry.ts'
import type { Rendering } from './rendering.ts'
import type { ObjectKind } from './retention.ts'

/** How the entries of one kind of stream change its row. */
export interface Stream<State = unknown, Stored = unknown> {
  /** Returns the next state. It applies the event without checking it, so that replay needs no decision. */
  evolve(state: State | undefined, entry: Entry): State
  /** The stored form of the state, if it can be shorter: it may omit facts that are in an entry. */
  toStored?(state: State): Stored
  /**
   * Whether the state has free texts of its entries. `entry`: the stored form has none, because it names the entry
   * instead.
   */
  keepsTexts?: 'entry' | 'row'
  /** The state of a stored row; undefined if an entry that it names is missing. */
  fromStored?(stored: Stored, stream: string, entryAt: (seq: number) => Entry | undefined): State | undefined
}

type Schemas = Readonly<Record<string, z.ZodType>>

/** An object that an entry names, and what the ledger uses it for. */
export interface NamedObject {
  digest: string
  kind: ObjectKind
}

/** All parts of one aggregate. Each aggregate is one folder of `domain`, and one line in `domain/aggregates.ts`. */
export interface Aggregate<C extends Command = Command, Events extends Schemas = Schemas> {
  /** The first words of its commands: `lock` decides `lock.acquire`. */
  commands: readonly string[]
  /** Its streams by first word: `lock` is every `lock/…`. An aggregate may also append to streams of others. */
  streams: Readonly<Record<string, Stream>>
  /** The schema of the data of each of its events. */
  events: Events
  /** How each of its events is rendered as an audit event of Contract v1. */
  rendering: Readonly<Record<keyof Events, Rendering>>
  /** The members of the audit event that only some of its events have. Null and undefined members are left out. */
  facts?(entry: Entry): Readonly<Record<string, unknown>>
  /** The objects that one of its entries names, directly or through another object. */
  objects?(entry: Entry, textOf: (digest: string) => string): Iterable<NamedObject>
  /**
   * Every stream that a decision on the command may read or append to, as far as the command names it. Streams that
   * loaded rows name come on top, such as the lock of a run and the runs above it.
   */
  reads(command: C): readonly string[]
  /** The keys of the derived state that a decision on the command reads, as far as the command names it. */
  readsOfState?(command: C): readonly string[]
  /** The decision. It is pure, never throws for an expected refusal, and may be repeated. */
  decide(command: C, context: Context, rows: LoadedState): Decision
}

/** Defines an aggregate. The compiler checks that every event has a schema and a rendering. */
export function defineAggregate<C extends Command, const Events extends Schemas>(
  parts: Aggregate<C, Events>,
): Aggregate<C, Events> {
  return parts
}

/** A kind of stream, with the type of its state hidden from the table of aggregates. */
export function stream<State, Stored>(parts: Stream<State, Stored>): Stream {
  return parts as unknown as Stream
}
