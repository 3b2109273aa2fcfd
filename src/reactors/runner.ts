import type { Entry } from '../core/entry.ts'
import type { Cursors } from '../log/head-row.ts'
import type { Log } from '../log/log.ts'
import type { Reactor } from './reactor.ts'

const retryMillis = 5_000

/**
 * Leads one reactor through the log. Its cursor is what is handled for good; it rides in whatever batch comes
 * next, so a crash only means that a little is handled again.
 */
class Follower {
  readonly #reactor: Reactor
  readonly #log: Log
  #cursor: number
  #failure: unknown
  #work: Promise<void> = Promise.resolve()
  #retry: NodeJS.Timeout | undefined

  constructor(reactor: Reactor, log: Log) {
    this.#reactor = reactor
    this.#log = log
    this.#cursor = log.cursor(reactor.name)
  }

  /** Entries were published. Where none concerns the reactor and it is up to date, only the cursor moves. */
  published(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const isUpToDate = this.#cursor === first.seq
    if (isUpToDate && !entries.some((entry) => this.#reactor.concerns(entry))) this.#cursor += entries.length
    else this.#go()
  }

  get name(): string {
    return this.#reactor.name
  }

  get cursor(): number {
    return this.#cursor
  }

  /** Handles all there is; true when nothing is left over. */
  async drained(): Promise<boolean> {
    this.#go()
    await this.#work
    return this.#failure === undefined
  }

  #go(): void {
    clearTimeout(this.#retry)
    this.#work = this.#work.then(() => this.#follow())
  }

  async #follow(): Promise<void> {
    this.#failure = undefined
    while (this.#cursor < this.#log.head().size) {
      const entry = this.#log.entry(this.#cursor)
      if (entry !== undefined && this.#reactor.concerns(entry)) {
        try {
          await this.#reactor.handle(entry)
        } catch (error) {
          // Kept for who asks, and tried again: the log has decided, so the effect is owed until it is done.
          this.#failure = error
          this.#retry = setTimeout(() => this.#go(), retryMillis).unref()
          return
        }
      }
      this.#cursor += 1
    }
  }
}

/** All reactors of a ledger. */
export class Reactors {
  readonly #followers: Follower[]

  constructor(reactors: readonly Reactor[], log: Log) {
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
