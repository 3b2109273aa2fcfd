import type { Code, Details } from '../errors.ts'
import type { Now } from './clock.ts'
import type { Config } from './config.ts'
import type { Entry, EventDraft } from './entry.ts'
import type { Actor } from './ids.ts'

/** What was derived from one stream: the seq of its last entry and the aggregate's own state. */
export interface Row<State = unknown> {
  last_seq: number
  state: State
}

/** The rows a command declared, loaded. */
export interface Rows {
  get(stream: string): Row | undefined
}

/** Beside rows of streams, those of sovereign state and the objects that entries name: what turns are decided over. */
export interface SovereignRows extends Rows {
  /** A row of sovereign state by its key. */
  state(key: string): unknown
  /** The value of a stored object by its digest. */
  object(digest: string): unknown
  /** SHA-256 of a text, in hex. */
  digest(text: string): string
}

/** What an append changes in sovereign state, by key; undefined deletes a row. It follows from the entries. */
export type StateChanges = ReadonlyMap<string, unknown>

/** Objects that an entry names and that are stored with it: their texts by digest. */
export type Objects = ReadonlyMap<string, string>

/** All that a decision may know beside rows and command; nothing else is read. */
export interface Context {
  actor: Actor
  config: Config
  now: Now
  /** The time that the next entry has: not before that of the last one, whatever the wall clock says. */
  time: string
  /** What is wrong with the command's guard, judged against the same rows in the same decision. */
  guard: Refusal | undefined
  /** How many live waiters stand in front of this command on a stream. */
  waiting: (stream: string) => number
}

/** An expected "no", as data. With `record`, the refusal is itself an entry. */
export interface Refusal {
  kind: 'refuse'
  code: Code
  message: string
  details: Details
  record?: EventDraft
  /** The record changes the row it is of, so that it is kept however often it comes. */
  isChange?: boolean
  objects?: Objects
  /** What was thrown, where the refusal stands for a defect. */
  cause?: unknown
}

/**
 * What a decision comes to: events to append, an earlier entry that already answers, or a refusal. A refusal
 * decides that nothing of the command happens; an append happens whole.
 */
export type Decision<Event extends EventDraft = EventDraft> =
  | { kind: 'append'; events: readonly Event[]; refusal?: Refusal; changes?: StateChanges; objects?: Objects }
  | { kind: 'repeat'; seq: number }
  | Refusal

/** A parsed intent. `guard` asks that a lock's grant be current in the same decision. */
export interface Command {
  type: string
  guard?: Guard | undefined
}

export interface Guard {
  name: string
  token: number
}

/**
 * One aggregate: the same four parts in each. Deciding is pure and may be repeated; evolving applies and never
 * judges, so that replay needs no decision.
 */
export interface Aggregate<C extends Command = Command, State = unknown, Stored = unknown> {
  /** The streams whose rows the command is decided over. */
  reads(command: C): readonly string[]
  decide(command: C, context: Context, rows: Rows): Decision
  evolve(state: State | undefined, entry: Entry): State
  /** The state as its row is stored, where that is shorter: what an entry says need not be said again. */
  toStored?(state: State): Stored
  /** The state of a stored row; undefined where an entry it names is not there. */
  fromStored?(stored: Stored, stream: string, entryAt: (seq: number) => Entry | undefined): State | undefined
}

/** A refusal; `record` is the event that keeps it, where the refusal is one that the ledger records. */
export function refuse(code: Code, message: string, details: Details = {}, record?: EventDraft): Refusal {
  return { kind: 'refuse', code, message, details, ...(record === undefined ? {} : { record }) }
}
