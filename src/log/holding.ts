// Who may write to a log, and by which clock: the part of the port that is about other processes.

/** A clock that several machines share. */
export interface SharedClock {
  /** Names the clock, as the boot id of a lease clock. */
  readonly boot_id: string
  /** Milliseconds since 1970. Never ahead of the clock. */
  millis(): number
}

/** A right to write that passes from process to process: `epoch` counts the changes. */
export interface Term {
  epoch: number
  node: string
  /** The history of the store in which it counts. */
  system: string
  timeline: string
}

/** What an engine knows about whether the ledger was taken from this process. Errors: LEDGER_MOVED. */
export interface Holding {
  /** What this process records of its right to write, before it writes anything else. */
  readonly term?: Term | undefined
  /** Called before an answer that needs no write. */
  assertBefore(): void
  /** Looks again. */
  assertInPlace(): void
  /** Throws if an earlier look failed; costs nothing. */
  assertNotMoved(): void
}
