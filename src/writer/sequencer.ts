import type { LockState } from '../domain/lock/state.ts'
import { LockstepError } from '../errors.ts'
import { isoTime, type Now } from '../kernel/clock.ts'
import type { Config } from '../kernel/config.ts'
import type { Entry } from '../kernel/entry.ts'
import { isApart } from '../kernel/entry-time.ts'
import { limits } from '../kernel/limits.ts'
import type { Appended, Log } from '../log/level/log.ts'
import type { Cursors } from '../log/level/rows/head-row.ts'
import type { Receipts } from '../views/receipts.ts'
import type { PublishedRows } from '../views/rows.ts'
import type { Sovereign } from '../views/sovereign.ts'
import { Batch, type DecidedBatch } from './batch.ts'
import { type Ground, Plan } from './plan.ts'
import { RefusalMemory } from './refusals.ts'
import type { Answer, Outcome, Step, Submission } from './submission.ts'
import { unavailable } from './unavailable.ts'
import { Waiters } from './waiters.ts'

export interface SequencerParts {
  log: Log
  rows: PublishedRows
  sovereign: Sovereign
  receipts: Receipts
  config: Config
  now: () => Now
  /** The cursors of the reactors, to be saved with the next batch. */
  cursors: () => Cursors
  published: (entries: readonly Entry[]) => void
}

/**
 * The single writer. Its states:
 * - **idle**: the queue is empty; published rows, log and disk agree.
 * - **writing**: batches are decided and synced in order; callers only enqueue. While one batch is synced, the next
 *   is decided on top of it and prepared (ADR 0013). There is never more than one batch ahead.
 * - **closing**: as writing, but new commands are refused.
 * - **failed**: a database write or read failed, so the state of the disk is unknown. All commands are refused until
 *   the ledger is reopened. A defect in a decision does not lead here: only its command is refused.
 * - **closed**: everything is written, and all commands are refused.
 *
 * A command moves idle to writing; an empty queue moves writing to idle; a store error or a violated invariant moves
 * writing or closing to failed. `close` moves idle to closed, or writing to closing and then closed.
 */
export class Sequencer {
  readonly waiters: Waiters
  readonly #parts: SequencerParts
  readonly #refusals = new RefusalMemory()
  #queue: Step[] = []
  /** Oldest first: the batch that is being synced and, briefly, the batch decided on top of it. */
  readonly #decided: DecidedBatch[] = []
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
   * QUEUE_FULL, LEDGER_CLOSED, or LEDGER_UNAVAILABLE with the `outcome` unknown or not_applied.
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

  /** Checks again whether the first waiter of a lock can get it. */
  poke(stream: string): void {
    this.#enqueue({ poke: stream })
  }

  /** Resolves when no command is queued or being written. */
  settled(): Promise<void> {
    return this.#idle
  }

  /** Refuses new commands, answers the pending ones, and refuses callers that still wait in line. */
  async close(): Promise<void> {
    if (this.#state === 'idle') this.#state = 'closed'
    else if (this.#state === 'writing') this.#state = 'closing'
    await this.#idle
    this.waiters.refuseAll(this.#refusalOfAll())
  }

  #takesMore(): boolean {
    return this.#state === 'idle' || this.#state === 'writing'
  }

  #enqueue(step: Step): void {
    if (!this.#takesMore()) return
    this.#queue.push(step)
    if (this.#state !== 'idle') return
    this.#state = 'writing'
    this.#idle = this.#drain()
  }

  /** Writes batches until the queue is empty. Callers just answered get their next command into the next batch. */
  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0 || this.#decided.length > 0) {
        await new Promise(setImmediate)
        if (this.#queue.length > 0) await this.#decideNext()
        if (this.#decided.length > 1 || this.#queue.length === 0) await this.#finishOldest()
      }
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#state = this.#state === 'closing' ? 'closed' : 'idle'
  }

  /** Decides a batch and passes it to the log, which writes it once the previous batch is durable. */
  async #decideNext(): Promise<void> {
    try {
      const { plan, steps, answers } = this.#decideBatch()
      const appended = plan.recorded.length === 0 ? undefined : this.#append(plan)
      // It is awaited when the batch is finished, but never if the previous batch failed.
      appended?.catch(() => {})
      const [lines, undoCounts] = [this.waiters.endBatch(), this.#refusals.endBatch()]
      this.#decided.push({ plan, steps, answers, lines, undoCounts, appended })
    } catch (cause) {
      // A defect in the decision. The batches decided before are still written and answered.
      while (this.#decided.length > 0) await this.#finishOldest()
      throw cause
    }
  }

  /** Waits, publishes and answers, in this order, so that no caller learns of an entry before it is durable. */
  async #finishOldest(): Promise<void> {
    if (this.#decided[0] === undefined) return
    const { answers, appended, lines, plan } = this.#decided[0]
    if (appended === undefined) this.#parts.log.custody?.assertBefore()
    if ((await appended)?.outcome === 'moved') return this.#decideAgain(plan.firstSeq)
    // The entries are durable from here on. A crash can only lose answers.
    this.#decided.shift()
    const { rows, now, sovereign } = this.#parts
    rows.publish(plan.rows)
    if (plan.state.size > 0) sovereign.publish(plan.state)
    if (plan.recorded.length > 0) this.#parts.published(plan.recorded.map(({ entry }) => entry))
    this.waiters.keep(lines)
    for (const { tell } of answers) tell()
    this.waiters.armExpiry((stream) => (rows.get(stream)?.state as LockState | undefined)?.grant ?? null, now)
  }

  /** Another writer appended first: decides the same steps again on the new state. No caller was answered before. */
  async #decideAgain(firstSeq: number): Promise<void> {
    const { log, receipts, rows, sovereign } = this.#parts
    for (const { lines, undoCounts } of this.#decided.toReversed()) {
      this.waiters.undo(lines)
      undoCounts()
    }
    this.#queue = [...this.#decided.splice(0).flatMap(({ steps }) => steps), ...this.#queue]
    rows.clear()
    sovereign.clear()
    receipts.clear()
    for await (const page of log.entries(firstSeq)) {
      this.#lastTimeMillis = Date.parse(page.at(-1)?.time ?? '')
      this.#parts.published(page)
    }
  }

  async #append(plan: Plan): Promise<Appended> {
    const { log, receipts, cursors } = this.#parts
    const entries = plan.recorded.map(({ entry }) => entry)
    this.#lastTimeMillis = Date.parse(entries.at(-1)?.time ?? '')
    return log.append({ size: plan.firstSeq }, plan.recorded, [...receipts.take(entries), ...plan.writes()], cursors())
  }

  /** Decides steps in order. Steps that the batch did not reach stay at the front of the queue. */
  #decideBatch(): { plan: Plan; steps: Step[]; answers: Answer[] } {
    const { config, receipts } = this.#parts
    const now = this.#parts.now()
    const plan = this.#newPlan(now)
    const batch = new Batch({ config, now, plan, receipts, refusals: this.#refusals, waiters: this.waiters })
    const steps = this.#queue.splice(0, this.#batchMax())
    const unreached = steps.splice(batch.decideAll(steps))
    if (unreached.length > 0) this.#queue = [...unreached, ...this.#queue]
    return { plan, steps, answers: batch.answers }
  }

  /**
   * The number of steps for the next batch. If the disk is idle, a long queue is halved so that writing starts soon.
   */
  #batchMax(): number {
    const { length } = this.#queue
    const isHalved = this.#decided.length === 0 && length >= limits.batchHalvedFrom
    return Math.min(isHalved ? Math.ceil(length / 2) : length, limits.batchEntriesMax)
  }

  #newPlan(now: Now): Plan {
    const { log } = this.#parts
    const timeMillis = Math.max(now.wall_ms, this.#lastTimeMillis)
    return new Plan(
      {
        firstSeq: this.#decided.at(-1)?.plan.size ?? log.head().size,
        ledgerId: log.meta.ledger_id,
        time: isoTime(timeMillis),
        wallTime: isApart(timeMillis, now.wall_ms) ? isoTime(now.wall_ms) : undefined,
      },
      this.#ground,
    )
  }

  /** What a batch is decided on: the batch that is being written, then the published state. */
  readonly #ground: Ground = {
    row: (stream) => this.#decided.at(-1)?.plan.rows.get(stream) ?? this.#parts.rows.get(stream),
    state: (key) => {
      const state = this.#decided.at(-1)?.plan.state
      return state?.has(key) ? state.get(key) : this.#parts.sovereign.state(key)
    },
    object: (digest) => this.#parts.sovereign.object(digest),
    entry: (seq) => this.#decided.at(-1)?.plan.ownEntry(seq) ?? this.#parts.log.entry(seq),
  }

  #fail(cause: unknown): void {
    this.#state = 'failed'
    this.#failure = unavailable(cause, 'not_applied')
    const queued = this.#queue
    this.#queue = []
    // These were decided on a batch with an unknown outcome, so their own outcome is unknown too.
    for (const { answers, lines } of this.#decided.splice(0)) {
      this.waiters.keep(lines)
      for (const { item } of answers) item.reject(unavailable(cause, 'unknown'))
    }
    for (const step of queued) if ('item' in step) step.item.reject(this.#failure)
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
