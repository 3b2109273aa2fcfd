import type { LockstepError } from '../errors.ts'
import { isoTime, type Now } from '../kernel/clock.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Appended, Cursors, Log } from '../log/log.ts'
import type { Loaded } from '../views/loaded.ts'
import type { Receipts } from '../views/receipts.ts'
import { Batch, batchMax, type DecidedBatch } from './batch.ts'
import { type DecisionParts, declaredBy } from './decision.ts'
import { groundOf } from './ground.ts'
import { type Plan, planAfter } from './plan.ts'
import { RefusalMemory } from './refusals.ts'
import type { Answer, Outcome, Step, Submission } from './submission.ts'
import { Tally } from './tally.ts'
import { traceOfCall, withoutTrace } from './trace.ts'
import { ledgerClosed, queueFull, unavailable } from './unavailable.ts'
import { Waiters } from './waiters.ts'

export interface SequencerParts extends Pick<DecisionParts, 'config' | 'forked' | 'views'> {
  log: Log
  receipts: Receipts
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
  readonly tally = new Tally()
  readonly #parts: SequencerParts
  readonly #ground: Loaded
  readonly #refusals = new RefusalMemory()
  #queue: Step[] = []
  /** Oldest first: the batch that is being synced and, briefly, the batch decided on top of it. */
  readonly #decided: DecidedBatch[] = []
  #state: 'idle' | 'writing' | 'closing' | 'failed' | 'closed' = 'idle'
  #failure: LockstepError | undefined
  /** The time of the last entry; undefined until the first batch is decided. */
  #lastTimeMillis: number | undefined
  #idle: Promise<void> = Promise.resolve()

  constructor(parts: SequencerParts) {
    this.#parts = parts
    this.#ground = groundOf(() => this.#decided.at(-1)?.plan, parts.views.loaded)
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
      if (this.#queue.length >= limits.queueMax) return reject(queueFull(this.#queue.length))
      this.#enqueue({ item: { resolve, reject, trace: traceOfCall(), ...submission } })
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

  /** Refuses new commands, answers the pending ones, records counted refusals, and refuses callers in line. */
  async close(): Promise<void> {
    if (this.#state === 'writing' || this.#refusals.isCounting) this.#enqueue({ counts: 'all' })
    if (this.#state === 'idle') this.#state = 'closed'
    else if (this.#state === 'writing') this.#state = 'closing'
    await this.#idle
    this.waiters.refuseAll(this.#refusalOfAll())
  }

  /** How many commands wait to be decided, whether new ones are, and whether the ledger grants nothing more. */
  get figures(): { is_forked: boolean; is_writable: boolean; queue: number } {
    const is_forked = this.#parts.forked() !== undefined
    return { is_forked, is_writable: this.#takesMore(), queue: this.#queue.length }
  }

  #takesMore(): boolean {
    return this.#state === 'idle' || this.#state === 'writing'
  }

  #enqueue(step: Step): void {
    if (!this.#takesMore()) return
    this.#queue.push(step)
    if (this.#state !== 'idle') return
    this.#state = 'writing'
    this.#idle = withoutTrace(() => this.#drain())
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
    this.#refusals.arm(this.#parts.now(), () => this.#enqueue({ counts: 'due' }))
  }

  /** Decides a batch and passes it to the log, which writes it once the previous batch is durable. */
  async #decideNext(): Promise<void> {
    try {
      const { plan, steps, answers } = await this.#decideBatch()
      const appended = plan.recorded.length === 0 ? undefined : this.#append(plan)
      // It is awaited when the batch is finished, but never if the previous batch failed.
      appended?.catch(() => {})
      const [lines, undoCounts] = [this.waiters.endBatch(), this.#refusals.endBatch()]
      this.#decided.push({ plan, steps, answers, lines, undoCounts, appended })
    } catch (cause) {
      // The database cannot be read. The batches decided before are still written and answered.
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
    this.#parts.views.publish(plan.rows, plan.state, plan.objects, plan.texts)
    if (plan.recorded.length > 0) this.#parts.published(plan.recorded.map(({ entry }) => entry))
    this.waiters.keep(lines)
    for (const { tell } of answers) tell()
    if (!this.waiters.isEmpty) await this.waiters.armExpiry(this.#parts.views, this.#parts.now)
  }

  /** Another writer appended first: decides the same steps again on the new state. No caller was answered before. */
  async #decideAgain(firstSeq: number): Promise<void> {
    const { log, receipts, views } = this.#parts
    for (const { lines, undoCounts } of this.#decided.toReversed()) {
      this.waiters.undo(lines)
      undoCounts()
    }
    this.#queue = [...this.#decided.splice(0).flatMap(({ steps }) => steps), ...this.#queue]
    views.clear()
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
    const views = [...receipts.take(entries), ...plan.writes()]
    return this.tally.timed(entries.length, log.append({ size: plan.firstSeq }, plan.recorded, views, cursors()))
  }

  /**
   * Decides steps in order. Steps that the batch did not reach stay at the front of the queue. There is no wait where
   * the log answers its loads at once. What was loaded stays in memory until the batch is decided.
   */
  async #decideBatch(): Promise<{ plan: Plan; steps: Step[]; answers: Answer[] }> {
    const { log, views } = this.#parts
    const steps = this.#queue.splice(0, batchMax(this.#queue.length, this.#decided.length === 0))
    let batch: Batch | undefined
    views.hold()
    try {
      const loading = this.#loadDeclared(steps)
      if (loading !== undefined) await loading
      const now = this.#parts.now()
      const plan = planAfter(this.#decided.at(-1)?.plan, {
        ground: this.#ground,
        lastMillis: this.#lastTimeMillis ?? 0,
        log,
        now,
      })
      const { tally, waiters } = this
      batch = new Batch({ ...this.#parts, now, plan, refusals: this.#refusals, tally, waiters }, steps)
      while (!batch.decide()) {
        const missing = views.loadMissed()
        if (missing !== undefined) await missing
      }
      const unreached = steps.splice(batch.decided)
      if (unreached.length > 0) this.#queue = [...unreached, ...this.#queue]
      return { plan, steps, answers: batch.answers }
    } catch (cause) {
      // No entry was appended. Waiters that this batch served are no longer in line, only among the answers.
      for (const { item } of batch?.answers ?? []) item.reject(unavailable(cause, 'not_applied'))
      for (const step of steps) if ('item' in step) step.item.reject(unavailable(cause, 'not_applied'))
      throw cause
    } finally {
      views.release()
    }
  }

  /** Loads what the steps say they read, with one load, and what the first batch needs. */
  #loadDeclared(steps: readonly Step[]): Promise<unknown> | undefined {
    const { log, receipts, views } = this.#parts
    const [{ size }, loading] = [log.head(), views.load(declaredBy(steps, views))]
    if (receipts.isLoaded && this.#lastTimeMillis !== undefined) return loading
    const all = Promise.all([loading, receipts.loaded(), size === 0 ? undefined : views.entry(size - 1)])
    return all.then(([, , last]) => {
      this.#lastTimeMillis ??= Date.parse(last?.time ?? isoTime(0))
    })
  }

  #fail(cause: unknown): void {
    this.#state = 'failed'
    this.#failure = unavailable(cause, 'not_applied')
    // These were decided on a batch with an unknown outcome, so their own outcome is unknown too.
    for (const { answers, lines } of this.#decided.splice(0)) {
      this.waiters.keep(lines)
      for (const { item } of answers) item.reject(unavailable(cause, 'unknown'))
    }
    for (const step of this.#queue.splice(0)) if ('item' in step) step.item.reject(this.#failure)
    this.waiters.refuseAll(this.#failure)
  }

  #refusalOfAll(): LockstepError {
    return this.#failure ?? ledgerClosed()
  }
}
