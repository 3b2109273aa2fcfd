import { isoTime, type Now } from '../core/clock.ts'
import type { Config } from '../core/config.ts'
import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import type { LockState } from '../core/lock/state.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Cursors } from '../log/head-row.ts'
import type { Appended, Log } from '../log/log.ts'
import type { ViewWrite } from '../log/view-write.ts'
import type { Receipts } from '../views/receipts.ts'
import type { Rows } from '../views/rows.ts'
import { Batch } from './batch.ts'
import { Plan } from './plan.ts'
import { RefusalMemory } from './refusals.ts'
import type { Answer, Outcome, Submission, Turn } from './submission.ts'
import { Waiters } from './waiters.ts'

export interface SequencerParts {
  log: Log
  rows: Rows
  receipts: Receipts
  config: Config
  now: () => Now
  /** How far the reactors are, to ride in the next batch. */
  cursors: () => Cursors
  published: (entries: readonly Entry[]) => void
}

/**
 * The single writer. Its states and what holds in each:
 *
 * - **idle**: the queue is empty; published rows, log and disk agree.
 * - **writing**: batches are decided over published state and synced, one at a time; callers only enqueue.
 * - **closing**: as writing, but nothing more is enqueued.
 * - **failed**: a write failed, so what is on disk is unknown, or a defect showed. Everyone is refused;
 *   reopening decides.
 * - **closed**: nothing is unknown, and everyone is refused.
 *
 * idle → writing when something is enqueued; writing → idle when the queue is drained; writing or closing → failed
 * when the store rejects or an invariant breaks; by `close`, idle → closed, and writing → closing → closed once the
 * queue is drained.
 */
export class Sequencer {
  readonly waiters: Waiters
  readonly #parts: SequencerParts
  readonly #refusals = new RefusalMemory()
  #queue: Turn[] = []
  #state: 'idle' | 'writing' | 'closing' | 'failed' | 'closed' = 'idle'
  #failure: LockstepError | undefined
  #lastTimeMillis: number
  #idle: Promise<void> = Promise.resolve()

  constructor(parts: SequencerParts) {
    this.#parts = parts
    const { size } = parts.log.head()
    this.#lastTimeMillis = size === 0 ? 0 : Date.parse(parts.log.entry(size - 1)?.time ?? '')
    this.waiters = new Waiters({
      leave: (leave, error) => this.#enqueue({ leave, error }),
      poke: (stream) => this.poke(stream),
    })
  }

  /**
   * Enqueues a command and resolves when its entries are durable and published. Rejects with the refusal's code,
   * QUEUE_FULL, LEDGER_CLOSED, or LEDGER_UNAVAILABLE whose `outcome` is unknown or not_applied.
   */
  submit(submission: Submission): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (!this.#takesMore()) return reject(this.#refusalOfAll())
      if (this.#queue.length >= limits.queueMax) {
        return reject(new LockstepError('QUEUE_FULL', `${this.#queue.length} commands are waiting to be decided`))
      }
      this.#enqueue({ item: { resolve, reject, ...submission } })
    })
  }

  /** Looks again whether the first waiter of a lock can have it. */
  poke(stream: string): void {
    this.#enqueue({ poke: stream })
  }

  /** Resolves when nothing is queued or being written. */
  settled(): Promise<void> {
    return this.#idle
  }

  /** Takes no more, answers what is under way; who still waits in line is refused. */
  async close(): Promise<void> {
    if (this.#state === 'idle') this.#state = 'closed'
    else if (this.#state === 'writing') this.#state = 'closing'
    await this.#idle
    this.waiters.refuseAll(this.#refusalOfAll())
  }

  #takesMore(): boolean {
    return this.#state === 'idle' || this.#state === 'writing'
  }

  #enqueue(turn: Turn): void {
    if (!this.#takesMore()) return
    this.#queue.push(turn)
    if (this.#state !== 'idle') return
    this.#state = 'writing'
    this.#idle = this.#drain()
  }

  /** Batch after batch until the queue is empty. Callers just answered get their next command into the next one. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      await new Promise(setImmediate)
      try {
        await this.#nextBatch()
      } catch (error) {
        this.#fail(error)
        return
      }
    }
    this.#state = this.#state === 'closing' ? 'closed' : 'idle'
  }

  /** Decide, append, publish, answer: in this order, so that nobody learns of anything before it is durable. */
  async #nextBatch(): Promise<void> {
    const { plan, turns, answers } = this.#decideBatch()
    try {
      if (plan.recorded.length > 0 && !(await this.#isAppended(plan, turns))) return
    } catch (cause) {
      // Whether the batch is on disk is unknown now, and so is every answer that was decided upon it.
      for (const { item } of answers) item.reject(unavailable(cause, 'unknown'))
      throw cause
    }
    this.waiters.keep()
    this.#refusals.keep()
    for (const { tell } of answers) tell()
    const { rows, now } = this.#parts
    this.waiters.armExpiry((stream) => (rows.get(stream)?.state as LockState | undefined)?.grant ?? null, now)
  }

  /** Appends and publishes a batch; false where another writer came first, and its turns stand in the queue again. */
  async #isAppended(plan: Plan, turns: Turn[]): Promise<boolean> {
    const { log, rows } = this.#parts
    const entries = plan.recorded.map(({ entry }) => entry)
    const { outcome } = await this.#append(plan, entries)
    if (outcome === 'moved') {
      // What was decided is void, and nobody was told. The same turns are decided again, over what is there now.
      this.waiters.undo()
      this.#refusals.undo()
      this.#queue = [...turns, ...this.#queue]
      rows.clear()
      for await (const page of log.entries(plan.size - entries.length)) this.#publish(page)
      return false
    }
    // Durable from here on; a crash now loses answers, never entries.
    rows.publish(plan.rows)
    this.#publish(entries)
    return true
  }

  #publish(entries: readonly Entry[]): void {
    this.#lastTimeMillis = Date.parse(entries.at(-1)?.time ?? '')
    this.#parts.receipts.publish(entries)
    this.#parts.published(entries)
  }

  #append(plan: Plan, entries: Entry[]): Promise<Appended> {
    const { log, receipts, cursors } = this.#parts
    const rowWrites = Array.from(plan.rows, ([key, value]): ViewWrite => ({ view: 'row', key, value }))
    const writes = [...rowWrites, ...receipts.writesFor(entries)]
    return log.append({ size: plan.size - entries.length }, plan.recorded, writes, cursors())
  }

  /** Decides turns in order until a bound of the batch is reached; what it did not reach stays in front. */
  #decideBatch(): { plan: Plan; turns: Turn[]; answers: Answer[] } {
    const { config, log, receipts } = this.#parts
    const now = this.#parts.now()
    const plan = this.#newPlan(now)
    const batch = new Batch({ config, log, now, plan, receipts, refusals: this.#refusals, waiters: this.waiters })
    const turns = this.#queue.splice(0, limits.batchEntriesMax)
    const until = performance.now() + limits.batchMillisMax
    let decided = 0
    try {
      for (const turn of turns) {
        if (plan.isFull || (decided > 0 && performance.now() >= until)) break
        batch.decide(turn)
        decided += 1
      }
    } catch (cause) {
      // Nothing was appended. Waiters that were served in this batch are in no line any more, only among the answers.
      for (const { item } of batch.answers) item.reject(unavailable(cause, 'not_applied'))
      for (const turn of turns) if ('item' in turn) turn.item.reject(unavailable(cause, 'not_applied'))
      throw cause
    }
    const unreached = turns.splice(decided)
    if (unreached.length > 0) this.#queue = [...unreached, ...this.#queue]
    return { plan, turns, answers: batch.answers }
  }

  #newPlan(now: Now): Plan {
    const { log, rows } = this.#parts
    const timeMillis = Math.max(now.wall_ms, this.#lastTimeMillis)
    const differs = Math.abs(timeMillis - now.wall_ms) > 1000
    return new Plan(
      {
        firstSeq: log.head().size,
        ledgerId: log.meta.ledger_id,
        time: isoTime(timeMillis),
        wallTime: differs ? isoTime(now.wall_ms) : undefined,
      },
      (stream) => rows.get(stream),
    )
  }

  #fail(cause: unknown): void {
    this.#state = 'failed'
    this.#failure = unavailable(cause, 'not_applied')
    const queued = this.#queue
    this.#queue = []
    for (const turn of queued) if ('item' in turn) turn.item.reject(this.#failure)
    this.waiters.refuseAll(this.#failure)
  }

  #refusalOfAll(): LockstepError {
    if (this.#failure !== undefined) return this.#failure
    return new LockstepError('LEDGER_CLOSED', 'the ledger was closed', {
      details: { outcome: 'not_applied' },
      hint: 'Open it again; a waiting acquire is retried with the same lock_id.',
    })
  }
}

function unavailable(cause: unknown, outcome: 'not_applied' | 'unknown'): LockstepError {
  const isKnown = cause instanceof LockstepError && cause.code !== 'LEDGER_UNAVAILABLE'
  return new LockstepError(isKnown ? cause.code : 'LEDGER_UNAVAILABLE', `the writer has stopped: ${messageOf(cause)}`, {
    details: { ...(isKnown ? cause.details : {}), outcome },
    hint: 'Open the ledger again: that decides what was written. Then repeat the request under the same key.',
    cause,
  })
}
