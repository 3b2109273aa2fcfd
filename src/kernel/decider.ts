import type { Code, Details } from '../errors.ts'
import type { Now } from './clock.ts'
import type { Config } from './config.ts'
import type { EventDraft } from './entry.ts'
import { given } from './given.ts'
import type { Actor } from './ids.ts'

/** The state derived from one stream: the seq of its last entry, and the state of its aggregate. */
export interface Row<State = unknown> {
  last_seq: number
  state: State
}

/** The loaded rows that a command declared. */
export interface LoadedRows {
  get(stream: string): Row | undefined
}

/** Rows of streams, and also rows of sovereign state and objects that entries name. Decisions on turns need them. */
export interface LoadedState extends LoadedRows {
  /** A row of sovereign state by its key. */
  state(key: string): unknown
  /** The value of a stored object by its digest. */
  object(digest: string): unknown
  /** SHA-256 of a text, in hex. */
  digest(text: string): string
}

/** The changes of an append to sovereign state, by key; undefined deletes a row. They follow from the entries. */
export type StateChanges = ReadonlyMap<string, unknown>

/** The objects that are stored with an entry that names them: their texts by digest. */
export type Objects = ReadonlyMap<string, string>

/** All facts that a decision may use besides rows and command. */
export interface Context {
  /** The correlation id and the request key of the command, which its entries repeat. */
  stated?: readonly (string | undefined)[]
  actor: Actor
  config: Config
  /** The SHA-256 of the text of the configuration; undefined in a ledger that has none in force yet. */
  config_sha256?: string | undefined
  now: Now
  /** The time of the next entry. It is never earlier than that of the last entry, whatever the wall clock shows. */
  time: string
  /** The problem with the command's guard, checked against the same rows in the same decision. */
  guard: Refusal | undefined
  /** What the token of a grant adds to its seq. Zero in a ledger that was never restored. */
  token_offset: number
  /** The number of live waiters ahead of this command on a stream: for paths, of those that exclude the request. */
  waiting: (stream: string, asked?: { readonly paths: readonly string[]; readonly shared: boolean }) => number
}

/** A refusal as data. With `record`, the refusal is recorded as an entry. */
export interface Refusal {
  kind: 'refuse'
  code: Code
  message: string
  details: Details
  record?: EventDraft
  /** True if the record changes its row. It is then recorded every time, even if it repeats. */
  isChange?: boolean
  objects?: Objects
  /** The thrown error, if the refusal is caused by a defect. */
  cause?: unknown
}

/**
 * The result of a decision: events to append, an earlier entry that is the answer, or a refusal. After a refusal
 * nothing of the command happens. An append happens completely or not at all.
 */
export type Decision<Event extends EventDraft = EventDraft> =
  | {
      kind: 'append'
      events: readonly Event[]
      refusal?: Refusal
      changes?: StateChanges
      objects?: Objects
      /** Rows that were derived again, because texts in them are erased. The entries since then are added. */
      rows?: ReadonlyMap<string, Row>
    }
  | { kind: 'repeat'; seq: number }
  | Refusal

/** A parsed intent. `guard` requires that the grant of a lock is current in the same decision. */
export interface Command {
  type: string
  guard?: Guard | undefined
}

export interface Guard {
  name: string
  token: number
}

/** A refusal; `record` is the event that records it, if the ledger records this refusal. */
export function refuse(code: Code, message: string, details: Details = {}, record?: EventDraft): Refusal {
  return { kind: 'refuse', code, message, details, ...given({ record }) }
}
