import type { Entry } from '../core/entry.ts'
import type { Cursors } from '../log/head-row.ts'
import type { Reactor } from './reactor.ts'

/** What is read of the log. */
export interface FollowedLog {
  head(): { size: number }
  entry(seq: number): Entry | undefined
  cursor(reactor: string): number
}

/** What failed is tried again when somebody asks, and with new entries, but no more often than this. */
const retryMillis = 5_000
/** Entries that wait behind a failure, in memory; beyond that the reactor stops at the next one. */
const owedMax = 10_000

/**
 * Leads one reactor through the log. It looks at every entry once, in order, up to `#reached`. What cannot be done
 * for a stream is owed: that stream's later entries queue up behind it, all others go on. The cursor is the first
 * entry that is owed, or `#reached`; it rides in whatever batch comes next, so a crash only means that a little is
 * handled again.
 */
class Follower {
  readonly #reactor: Reactor
  readonly #log: FollowedLog
  #reached: number
  readonly #owed = new Map<string, Entry[]>()
  #triedAt = 0
  /** Something was left to a person, or could not be done, since that was last asked. */
  #isPending = false
  #work: Promise<void> = Promise.resolve()

  constructor(reactor: Reactor, log: FollowedLog) {
    this.#reactor = reactor
    this.#log = log
    this.#reached = log.cursor(reactor.name)
  }

  get name(): string {
    return this.#reactor.name
  }

  get cursor(): number {
    let cursor = this.#reached
    for (const [first] of this.#owed.values()) cursor = Math.min(cursor, first?.seq ?? cursor)
    return cursor
  }

  /** Entries were published. Where none concerns the reactor and it is up to date, only the cursor moves. */
  published(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const isUpToDate = this.#reached === first.seq
    const isQuiet = isUpToDate && !entries.some((entry) => this.#reactor.concerns(entry))
    if (isQuiet) this.#reached += entries.length
    const isRetryDue = this.#owed.size > 0 && performance.now() - this.#triedAt >= retryMillis
    if (!isQuiet || isRetryDue) this.#go(isRetryDue)
  }

  /** Handles all there is; true when nothing is left over or was left to a person. */
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
        // The log cannot be read, which its writer tells everybody: nothing is done until it is opened again.
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
      const entry = this.#log.entry(this.#reached)
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
      // Kept, and tried again: the log has decided, so the effect is owed until it is done.
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
