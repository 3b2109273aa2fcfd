import type { LedgerCommand } from '../core/aggregates.ts'
import type { Refusal } from '../core/decider.ts'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import type { LockstepError } from '../errors.ts'

/** One command on its way: who asks, under which request key, and whether it waits. */
export interface Submission {
  command: LedgerCommand
  actor: Actor
  correlationId?: string | undefined
  expectedSize?: number | undefined
  request?: { key: string; sha256: string } | undefined
  /** Notes of objects that were stored for this command, to go with its entries. */
  notes?: readonly number[] | undefined
  /** Wait in this line for the lock instead of being refused. */
  line?: Line | undefined
  /** The place in line from which the caller was called in. */
  calledFrom?: Line | undefined
}

/** The entries that answer a command: its own, or with `replayed` those of the same request earlier. */
export interface Outcome {
  entries: readonly Entry[]
  replayed: boolean
}

export interface Item extends Submission {
  resolve: (outcome: Outcome) => void
  reject: (error: LockstepError) => void
}

/** What is decided in order: a command, a waiter that leaves, or a look whether a stream became free. */
export type Turn = { item: Item } | { leave: Waiter; error: LockstepError | undefined } | { poke: string }

/** Who is told what once the batch is durable. */
export interface Answer {
  item: Item
  tell: () => void
}

/**
 * A caller's place in the line for one lock. With `grant` the lock is given in the batch that frees it; with
 * `turn` the caller is called in, still holding its place, and claims for itself (deliverables, whose file claim
 * precedes the append).
 */
export interface Line {
  mode: 'grant' | 'turn'
  waitMillis: number
  signal?: AbortSignal | undefined
}

export interface Waiter {
  item: Item
  stream: string
  refusal: Refusal
  /** Called in, and not done yet: nobody is served meanwhile. */
  isServed: boolean
  timer: NodeJS.Timeout
  stopListening: () => void
}
