import type { Entry } from '../kernel/entry.ts'
import type { Cursors, Head, Log } from '../log/log.ts'
import type { Reactor } from './reactor.ts'

/** The part of the log that reactors read. */
export interface FollowedLog {
  head(): Pick<Head, 'cursors' | 'size'>
  load: Log['load']
}

/** The shortest time between two retries. A retry starts with new entries or when `drained` is called. */
const retryMillis = 5_000
/** The most entries that wait in memory behind a failure. At this number the reactor stops reading further entries. */
const owedMax = 10_000

/**
 * Runs one reactor over the log. It looks at every entry once, in order, up to `#reached`. An entry whose handling
 * fails is owed: later entries of its stream wait behind it, and other streams go on. The cursor is the first owed
 * entry, or `#reached` if no entry is owed. It is saved with the next batch, so a crash only repeats a few entries.
 */
class Follower {
  readonly #reactor: Reactor
  readonly #log: FollowedLog
  #reached: number
  readonly #owed = new Map<string, Entry[]>()
  #triedAt = 0
  /** Whether an entry was left to a person, or failed, since `drained` was last called. */
  #isPending = false
  #work: Promise<void> = Promise.resolve()

  constructor(reactor: Reactor, log: FollowedLog) {
    this.#reactor = reactor
    this.#log = log
    this.#reached = log.head().cursors[reactor.name] ?? 0
  }

  get name(): string {
    return this.#reactor.name
  }

  get cursor(): number {
    let cursor = this.#reached
    for (const [first] of this.#owed.values()) cursor = Math.min(cursor, first?.seq ?? cursor)
    return cursor
  }

  /**
   * Called with newly published entries. If the reactor is up to date and handles none of them, only the cursor
   * moves.
   */
  published(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const isUpToDate = this.#reached === first.seq
    const isQuiet = isUpToDate && !entries.some((entry) => this.#reactor.concerns(entry))
    if (isQuiet) this.#reached += entries.length
    const isRetryDue = this.#owed.size > 0 && performance.now() - this.#triedAt >= retryMillis
    if (!isQuiet || isRetryDue) this.#go(isRetryDue)
  }

  /** Handles all entries so far. Returns true if none is owed and none was left to a person. */
  async drained(): Promise<boolean> {
    this.#go(true)
    await this.#work
    const isDone = !this.#isPending && this.#owed.size === 0
    this.#isPending = false
    return isDone
  }

  #go(isRetry: boolean): void {
    this.#work = this.#work.then(async () => {
      try {
        if (isRetry) await this.#retry()
        await this.#follow()
      } catch {
        // The log cannot be read. Its writer reports that error, so the reactor only stops until the ledger is opened
        // again.
        this.#isPending = true
      }
    })
  }

  async #retry(): Promise<void> {
    for (const [stream, entries] of [...this.#owed]) {
      for (let entry = entries[0]; entry !== undefined; entry = entries[0]) {
        if (!(await this.#handled(entry))) break
        entries.shift()
      }
      if (entries.length === 0) this.#owed.delete(stream)
    }
  }

  async #follow(): Promise<void> {
    let owed = [...this.#owed.values()].reduce((sum, entries) => sum + entries.length, 0)
    while (this.#reached < this.#log.head().size && owed < owedMax) {
      const [loaded] = await this.#log.load([{ view: 'entry', key: this.#reached }])
      const entry = loaded as Entry | undefined
      if (entry !== undefined && this.#reactor.concerns(entry)) {
        const waiting = this.#owed.get(entry.stream)
        if (waiting !== undefined || !(await this.#handled(entry))) {
          this.#owed.set(entry.stream, [...(waiting ?? []), entry])
          owed += 1
        }
      }
      this.#reached += 1
    }
  }

  async #handled(entry: Entry): Promise<boolean> {
    try {
      if ((await this.#reactor.handle(entry)) === 'left') this.#isPending = true
      return true
    } catch {
      // The log has recorded the decision, so its effect stays owed and is retried until it succeeds.
      this.#triedAt = performance.now()
      return false
    }
  }
}

/** All reactors of a ledger. */
export class Reactors {
  readonly #followers: Follower[]

  constructor(reactors: readonly Reactor[], log: FollowedLog) {
    this.#followers = reactors.map((reactor) => new Follower(reactor, log))
  }

  published(entries: readonly Entry[]): void {
    for (const follower of this.#followers) follower.published(entries)
  }

  cursors(): Cursors {
    return Object.fromEntries(this.#followers.map(({ name, cursor }) => [name, cursor]))
  }

  async drained(): Promise<'current' | 'pending'> {
    const all = await Promise.all(this.#followers.map((follower) => follower.drained()))
    return all.every(Boolean) ? 'current' : 'pending'
  }
}
