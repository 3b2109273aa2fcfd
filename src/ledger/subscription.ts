import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
import type { Log } from '../log/log.ts'

/**
 * Wakes readers when entries are published. It carries no entries: a reader takes them from the log at its own
 * pace, so a slow one holds nobody up, and none is skipped or repeated.
 */
export class Publication {
  #wake: () => void = () => {}
  #next: Promise<void>
  #isEnded = false

  constructor() {
    this.#next = this.#newPromise()
  }

  announce(): void {
    const wake = this.#wake
    this.#next = this.#newPromise()
    wake()
  }

  /** No more will come: a reader that has read all there is ends, one that has not is told. */
  end(): void {
    this.#isEnded = true
    this.announce()
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Resolves at the next announcement. */
  next(): Promise<void> {
    return this.#next
  }

  #newPromise(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

/** Entries of a range, one by one, as they are at the call. Cost: one read a page. */
export async function* read(log: Log, from: number, to: number): AsyncGenerator<Entry> {
  const end = Math.min(to, log.head().size)
  if (from < end) for await (const page of log.entries(from, end)) yield* page
}

/** Entries from a seq on, without end: each exactly once, in order, only once it is durable. */
export async function* subscribe(
  log: Log,
  publication: Publication,
  { from, signal }: { from: number; signal?: AbortSignal | undefined },
): AsyncGenerator<Entry> {
  let seq = from
  while (!signal?.aborted) {
    const next = publication.next()
    const to = Math.min(log.head().size, seq + limits.readPageEntries)
    if (seq >= to) {
      if (publication.isEnded) return
      await orAborted(next, signal)
      continue
    }
    for (; seq < to && !signal?.aborted; seq += 1) {
      if (publication.isEnded) throw new LockstepError('LEDGER_CLOSED', 'the ledger was closed while it was read')
      const entry = log.entry(seq)
      if (entry !== undefined) yield entry
    }
  }
}

/**
 * Resolves with a promise, or when a signal aborts. What is waited for time and again must not be raced with a promise
 * that stays, for that would hold on to every race; nor is a listener left.
 */
function orAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise
  return new Promise((resolve) => {
    const end = () => {
      signal.removeEventListener('abort', end)
      resolve()
    }
    signal.addEventListener('abort', end)
    void promise.then(end)
  })
}
