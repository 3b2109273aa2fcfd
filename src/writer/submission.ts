import type { LedgerCommand } from '../domain/aggregates.ts'
import type { LockstepError } from '../errors.ts'
import type { Refusal } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import type { TraceContext } from '../kernel/trace.ts'

/** A submitted command with its actor, its request key, and whether it waits for a lock. */
export interface Submission {
  command: LedgerCommand
  actor: RecordedActor
  correlationId?: string | undefined
  expectedSize?: number | undefined
  request?: { key: string; sha256: string } | undefined
  /** Notes of objects that were stored for this command. They are removed with its entries. */
  notes?: readonly number[] | undefined
  /** Wait in this line for the lock instead of being refused. */
  line?: Line | undefined
  /** The place in line from which the caller was called in. */
  calledFrom?: Line | undefined
}

/** The entries that answer a command. With `replayed`, they are those of an earlier identical request. */
export interface Outcome {
  entries: readonly Entry[]
  replayed: boolean
}

export interface Item extends Submission {
  /** The distributed trace of the call. */
  trace: TraceContext | undefined
  resolve: (outcome: Outcome) => void
  reject: (error: LockstepError) => void
}

/**
 * A step that is decided in order: a command, a waiter that leaves, a check whether a stream's lock became free, or the
 * recording of counted refusals.
 */
export type Step =
  | { item: Item }
  | { leave: Waiter; error: LockstepError | undefined }
  | { poke: string }
  | { counts: 'due' | 'all' }

/** The answer that a caller gets once the batch is durable. */
export interface Answer {
  item: Item
  tell: () => void
}

/**
 * A caller's place in the line for a lock. With `grant`, the lock is granted in the batch that frees it. With `call`,
 * the caller is called in, keeps its place, and claims the lock itself. Deliverables need that, because their file is
 * claimed before the append.
 */
export interface Line {
  mode: 'grant' | 'call'
  waitMillis: number
  signal?: AbortSignal | undefined
}

export interface Waiter {
  item: Item
  stream: string
  refusal: Refusal
  /** The caller was called in and is not done yet. No other waiter is served meanwhile. */
  isServed: boolean
  timer: NodeJS.Timeout
  stopListening: () => void
}
