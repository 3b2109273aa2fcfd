import { LockstepError } from '../errors.ts'
import { onAbort } from '../kernel/abort.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Key, Log } from '../log/log.ts'

/**
 * Wakes readers when entries are published. It carries no entries: each reader reads the log at its own pace. So a
 * slow reader delays no other, and no entry is skipped or repeated.
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

  /** Called when no more entries will come: readers end once they have read the rest. */
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

/** Yields the entries of a range, among those that are published when the first is read. Cost: one read per page. */
export async function* read(log: Log, { from, to }: { from: number; to: number }): AsyncGenerator<Entry> {
  const end = Math.min(to, log.head().size)
  if (from < end) for await (const page of log.entries(from, end)) yield* page
}

/**
 * Yields entries from a seq on, without end. Each entry comes exactly once, in order, and only once it is durable. It
 * ends when the signal aborts. Errors: LEDGER_CLOSED (closed before all entries were read).
 */
export async function* subscribe(
  log: Log,
  publication: Publication,
  { from, signal }: { from: number; signal: AbortSignal | undefined },
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
    const page = await log.load(Array.from({ length: to - seq }, (_, at): Key => ({ view: 'entry', key: seq + at })))
    for (; seq < to && !signal?.aborted; seq += 1) {
      if (publication.isEnded) throw new LockstepError('LEDGER_CLOSED', 'the ledger was closed while it was read')
      yield page[page.length - (to - seq)] as Entry
    }
  }
}

/**
 * Resolves with a promise, or when a signal aborts. Promise.race with a long-lived promise would keep every race in
 * memory, so this removes its listener each time.
 */
function orAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise
  return new Promise((resolve) => {
    const stopListening = onAbort(signal, resolve)
    void promise.then(() => {
      stopListening()
      resolve()
    })
  })
}
