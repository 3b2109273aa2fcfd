import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Key, Log } from '../log/log.ts'
import { onAbort } from './abort.ts'
import { parse } from './parse.ts'

const seq = z.int().min(0)

// The requests of `ledger.read` and `ledger.subscribe`. NaN must be rejected: it compares neither below nor above the
// end, so a subscription would spin forever without yielding to the event loop.

const readSchema = z.strictObject({ from: seq.default(0), to: seq.default(Number.MAX_SAFE_INTEGER) })
export type ReadRequest = z.input<typeof readSchema>

const subscribeSchema = z.strictObject({
  from: seq.optional(),
  signal: z.instanceof(AbortSignal).optional(),
})
export type SubscribeRequest = z.input<typeof subscribeSchema>

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

/** Yields the entries of a range as it is at the time of the call. Errors: INVALID_INPUT. Cost: one read per page. */
export function read(log: Log, request: ReadRequest): AsyncGenerator<Entry> {
  const { from, to } = parse(readSchema, request, 'read')
  return between(log, from, to)
}

async function* between(log: Log, from: number, to: number): AsyncGenerator<Entry> {
  const end = Math.min(to, log.head().size)
  if (from < end) for await (const page of log.entries(from, end)) yield* page
}

/**
 * Yields entries from a seq on, without end. Default: from the next entry. Each entry comes exactly once, in order,
 * and only once it is durable. Errors: INVALID_INPUT.
 */
export function subscribe(log: Log, publication: Publication, request: SubscribeRequest): AsyncGenerator<Entry> {
  const { from = log.head().size, signal } = parse(subscribeSchema, request, 'subscribe')
  return follow(log, publication, { from, signal })
}

async function* follow(
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
