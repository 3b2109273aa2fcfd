import { aggregateOf, type LedgerCommand } from '../core/aggregates.ts'
import { isoTime, type Now } from '../core/clock.ts'
import type { Config } from '../core/config.ts'
import type { Context, Decision, Refusal } from '../core/decider.ts'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { judgeGuard } from '../core/lock/decide.ts'
import { streamOf } from '../core/lock/names.ts'
import type { LockState } from '../core/lock/state.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Appended, Log } from '../log/log.ts'
import type { ViewWrite } from '../log/view-write.ts'
import type { Receipts } from '../views/receipts.ts'
import type { Rows } from '../views/rows.ts'
import { Plan } from './plan.ts'
import { RefusalMemory } from './refusals.ts'
import { earlierAnswer } from './requests.ts'
import { type Line, type Waiter, Waiters } from './waiters.ts'

/** One command on its way: who asks, under which request key, and whether it waits. */
export interface Submission {
  command: LedgerCommand
  actor: Actor
  correlationId?: string | undefined
  expectedSize?: number | undefined
  request?: { key: string; sha256: string } | undefined
  /** Wait in line for the lock instead of being refused. */
  line?: Line | undefined
}

/** The entries that answer a command: its own, or with `replayed` those of the same request earlier. */
export interface Outcome {
  entries: readonly Entry[]
  replayed: boolean
}

export interface Item extends Submission {
  resolve: (outcome: Outcome) => void
  reject: (error: LockstepError) => void
}

/** What is decided in order: a command, a waiter that leaves, or a look whether a stream became free. */
type Turn = { item: Item } | { leave: Waiter; error: LockstepError } | { poke: string }

/** Who is told what once the batch is durable. */
interface Answer {
  item: Item
  tell: () => void
}

export interface SequencerParts {
  log: Log
  rows: Rows
  receipts: Receipts
  config: Config
  now: () => Now
  /** Cursors of the reactors, to ride in the next batch. */
  cursors: () => ViewWrite[]
  published: (entries: readonly Entry[]) => void
}

/**
 * The single writer. Its states and what holds in each:
 *
 * - **idle**: the queue is empty; published rows, log and disk agree.
 * - **writing**: batches are decided over published state and synced, one at a time; callers only enqueue.
 * - **failed**: a write failed, so what is on disk is unknown, or a defect showed. Everyone is refused;
 *   reopening decides.
 * - **closed**: nothing is unknown, and everyone is refused.
 *
 * idle → writing when something is enqueued; writing → idle when the queue is drained; writing → failed when the
 * store rejects or an invariant breaks; idle → closed by `close`, which first waits for writing to end.
 */
export class Sequencer {
  readonly waiters: Waiters
  readonly #parts: SequencerParts
  readonly #refusals = new RefusalMemory()
  #queue: Turn[] = []
  #state: 'idle' | 'writing' | 'failed' | 'closed' = 'idle'
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
      if (this.#state === 'failed' || this.#state === 'closed') return reject(this.#refusalOfAll())
      if (this.#queue.length >= limits.queueMax) {
        return reject(new LockstepError('QUEUE_FULL', `${this.#queue.length} commands are waiting to be decided`))
      }
      this.#enqueue({ item: { ...submission, resolve, reject } })
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

  /** Answers what is under way, then takes no more; who still waits in line is refused. */
  async close(): Promise<void> {
    await this.#idle
    if (this.#state === 'idle') this.#state = 'closed'
    this.waiters.refuseAll(this.#refusalOfAll())
  }

  #enqueue(turn: Turn): void {
    if (this.#state === 'failed' || this.#state === 'closed') return
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
    this.#state = 'idle'
  }

  /** Decide, append, publish, answer: in this order, so that nobody learns of anything before it is durable. */
  async #nextBatch(): Promise<void> {
    const { rows, receipts, published } = this.#parts
    const { plan, turns, answers } = this.#decideBatch()
    if (plan.recorded.length > 0) {
      const entries = plan.recorded.map(({ entry }) => entry)
      const appended = await this.#append(plan, entries).catch((cause: unknown) => {
        // Whether the batch is on disk is unknown now, and so is every answer that was decided upon it.
        for (const { item } of answers) item.reject(unavailable(cause, 'unknown'))
        throw cause
      })
      if (appended.outcome === 'moved') {
        // Another writer came first: what was decided is void, and the same turns are decided over newer rows.
        this.#queue = [...turns, ...this.#queue]
        rows.clear()
        return
      }
      // Durable from here on; a crash now loses answers, never entries.
      this.#lastTimeMillis = Date.parse(entries.at(-1)?.time ?? '')
      rows.publish(plan.rows)
      receipts.publish(entries)
      published(entries)
    }
    for (const { tell } of answers) tell()
    this.waiters.armExpiry(
      (stream) => (rows.get(stream)?.state as LockState | undefined)?.grant ?? null,
      this.#parts.now(),
    )
  }

  #append(plan: Plan, entries: Entry[]): Promise<Appended> {
    const { log, receipts, cursors } = this.#parts
    const rowWrites = Array.from(plan.rows, ([key, value]): ViewWrite => ({ view: 'row', key, value }))
    const writes = [...rowWrites, ...receipts.writesFor(entries), ...cursors()]
    return log.append({ size: plan.size - entries.length }, plan.recorded, writes)
  }

  /** Decides turns in order until a bound of the batch is reached; what it did not reach stays in front. */
  #decideBatch(): { plan: Plan; turns: Turn[]; answers: Answer[] } {
    const now = this.#parts.now()
    const plan = this.#newPlan(now)
    const turns = this.#queue.splice(0, limits.batchEntriesMax)
    const answers: Answer[] = []
    const until = performance.now() + limits.batchMillisMax
    let decided = 0
    try {
      while (decided < turns.length && !plan.isFull && (decided === 0 || performance.now() < until)) {
        const turn = turns[decided]
        decided += 1
        if (turn !== undefined) this.#decideTurn(turn, plan, now, answers)
      }
    } catch (cause) {
      for (const turn of turns) if ('item' in turn) turn.item.reject(unavailable(cause, 'not_applied'))
      throw cause
    }
    const unreached = turns.splice(decided)
    if (unreached.length > 0) this.#queue = [...unreached, ...this.#queue]
    return { plan, turns, answers }
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

  #decideTurn(turn: Turn, plan: Plan, now: Now, answers: Answer[]): void {
    if ('poke' in turn) {
      this.#serveWaiters(turn.poke, plan, now, answers)
    } else if ('leave' in turn) {
      const { leave, error } = turn
      if (this.waiters.remove(leave)) answers.push({ item: leave.item, tell: () => leave.item.reject(error) })
    } else {
      this.#decideItem(turn.item, plan, now, answers)
    }
  }

  #decideItem(item: Item, plan: Plan, now: Now, answers: Answer[]): void {
    const earlier = earlierAnswer(item, plan, this.#parts)
    if (earlier !== undefined) {
      answers.push({
        item,
        tell: () => ('kind' in earlier ? item.reject(errorOf(earlier)) : item.resolve(earlier)),
      })
      return
    }
    const decision = this.#decide(item, plan, now)
    if (decision.kind === 'append') {
      this.#accept(item, decision, plan, now, answers)
    } else if (decision.kind === 'repeat') {
      const entry = plan.entry(decision.seq) ?? this.#parts.log.entry(decision.seq)
      answers.push({
        item,
        tell: () => item.resolve({ entries: entry === undefined ? [] : [entry], replayed: true }),
      })
    } else if (decision.code === 'LOCK_CONTENTION' && item.line !== undefined && this.waiters.add(item, decision)) {
      // It stands in line now, and is answered when its turn comes or it leaves.
    } else {
      this.#refuse(item, decision, plan, now, answers)
    }
  }

  #decide(item: Item, plan: Plan, now: Now): Decision {
    const { command, actor } = item
    if (item.expectedSize !== undefined && item.expectedSize !== plan.size)
      return sizeMismatch(item.expectedSize, plan.size)
    const aggregate = aggregateOf(command.type)
    const waiting = Math.max(0, ...aggregate.reads(command).map((stream) => this.waiters.inFrontOf(stream, item.line)))
    const context: Context = {
      actor,
      config: this.#parts.config,
      guard: this.#judgeGuard(item, plan, now),
      now,
      waiting,
    }
    const decision = aggregate.decide(command, context, { get: (stream) => plan.row(stream) })
    if (decision.kind === 'append' && context.guard !== undefined) {
      throw new LockstepError('INVARIANT_VIOLATED', `${command.type} was accepted over a guard that does not hold`)
    }
    return decision
  }

  #judgeGuard({ command }: Item, plan: Plan, now: Now): Refusal | undefined {
    if (command.guard === undefined) return undefined
    const state = plan.row(streamOf(command.guard.name))?.state as LockState | undefined
    return judgeGuard(command.guard, state, command.type, now)
  }

  #accept(item: Item, decision: Extract<Decision, { kind: 'append' }>, plan: Plan, now: Now, answers: Answer[]): void {
    let entries: Entry[]
    try {
      entries = plan.add(decision.events, item)
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'LIMIT_EXCEEDED') throw error
      answers.push({ item, tell: () => item.reject(error) })
      return
    }
    plan.remember(item, entries)
    const { refusal } = decision
    const outcome = { entries, replayed: false }
    answers.push({
      item,
      tell: () => (refusal === undefined ? item.resolve(outcome) : item.reject(errorOf(refusal))),
    })
    for (const stream of new Set(entries.map((entry) => entry.stream))) this.#serveWaiters(stream, plan, now, answers)
  }

  #refuse(item: Item, refusal: Refusal, plan: Plan, now: Now, answers: Answer[]): void {
    const record = refusal.record && this.#refusals.toRecord(refusal.record, item.actor, plan, this.#parts.log, now)
    if (record !== undefined) plan.add([record], { actor: item.actor, correlationId: item.correlationId })
    answers.push({ item, tell: () => item.reject(errorOf(refusal)) })
  }

  /** Gives a lock that became free to the first in its line, in this same batch. */
  #serveWaiters(stream: string, plan: Plan, now: Now, answers: Answer[]): void {
    for (let first = this.waiters.first(stream); first !== undefined; first = this.waiters.first(stream)) {
      const { item } = first
      const decision = this.#decide(item, plan, now)
      if (decision.kind === 'refuse' && decision.code === 'LOCK_CONTENTION') return
      if (item.line?.mode === 'turn' && decision.kind === 'append') {
        // A deliverable's file is claimed before its append, so its waiter is told to come in, and keeps its place.
        first.isServed = true
        answers.push({ item, tell: () => item.resolve({ entries: [], replayed: false }) })
        return
      }
      this.waiters.remove(first)
      if (decision.kind === 'append') this.#accept(item, decision, plan, now, answers)
      else if (decision.kind === 'refuse') this.#refuse(item, decision, plan, now, answers)
    }
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

function sizeMismatch(expected: number, size: number): Refusal {
  const message = `the ledger has ${size} entries, not the expected ${expected}`
  return { kind: 'refuse', code: 'SIZE_MISMATCH', message, details: { expected_size: expected, size } }
}

/** A refusal as the one class of error that callers catch. */
export function errorOf({ code, message, details }: Refusal): LockstepError {
  return new LockstepError(code, message, { details })
}

function unavailable(cause: unknown, outcome: 'not_applied' | 'unknown'): LockstepError {
  const isKnown = cause instanceof LockstepError && cause.code !== 'LEDGER_UNAVAILABLE'
  return new LockstepError(isKnown ? cause.code : 'LEDGER_UNAVAILABLE', `the writer has stopped: ${messageOf(cause)}`, {
    details: { ...(isKnown ? cause.details : {}), outcome },
    hint: 'Open the ledger again: that decides what was written. Then repeat the request under the same key.',
    cause,
  })
}
