import { aggregateOf } from '../domain/aggregates.ts'
import { judgeGuard } from '../domain/lock/decide.ts'
import { streamOf } from '../domain/lock/names.ts'
import type { LockState } from '../domain/lock/state.ts'
import { LockstepError } from '../errors.ts'
import type { Now } from '../kernel/clock.ts'
import type { Config } from '../kernel/config.ts'
import { type Context, type Decision, type Refusal, refuse } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Appended } from '../log/level/log.ts'
import type { Receipts } from '../views/receipts.ts'
import type { Plan } from './plan.ts'
import { defectIn, errorOf, type RefusalMemory } from './refusals.ts'
import { earlierAnswer } from './requests.ts'
import type { Answer, Item, Outcome, Step, Waiter } from './submission.ts'
import { unavailable } from './unavailable.ts'
import { type LineChanges, recordOfWaiting, type Waiters } from './waiters.ts'

interface BatchParts {
  config: Config
  now: Now
  plan: Plan
  receipts: Receipts
  refusals: RefusalMemory
  waiters: Waiters
}

/** A batch that was decided but is not durable yet. No caller has been told its answer. */
export interface DecidedBatch {
  plan: Plan
  steps: Step[]
  answers: Answer[]
  lines: LineChanges
  undoCounts: () => void
  /** Settles when the append ends; undefined if the batch has no entries. */
  appended: Promise<Appended> | undefined
}

/**
 * Decides the steps of one batch in order. Each decision sees the published rows plus the changes that the batch made
 * so far. The batch appends nothing and answers no caller: the sequencer does both, and answers once the batch is
 * durable.
 */
export class Batch {
  readonly answers: Answer[] = []
  readonly #parts: BatchParts

  constructor(parts: BatchParts) {
    this.#parts = parts
  }

  /** Decides steps in order until a limit of the batch is reached. Returns the number of decided steps. */
  decideAll(steps: readonly Step[]): number {
    const until = performance.now() + limits.batchMillisMax
    let decided = 0
    try {
      for (const step of steps) {
        if (this.#parts.plan.isFull || (decided > 0 && performance.now() >= until)) break
        this.#decide(step)
        decided += 1
      }
    } catch (cause) {
      // No entry was appended. Waiters that this batch served are no longer in line, only among the answers.
      for (const { item } of this.answers) item.reject(unavailable(cause, 'not_applied'))
      for (const step of steps) if ('item' in step) step.item.reject(unavailable(cause, 'not_applied'))
      throw cause
    }
    return decided
  }

  #decide(step: Step): void {
    if ('poke' in step) {
      this.#serveWaiters(step.poke)
    } else if ('leave' in step) {
      this.#decideLeave(step.leave, step.error)
    } else {
      this.#decideItem(step.item)
    }
  }

  /** The waiter may have been first in line or called in, so the next waiter is checked. */
  #decideLeave(waiter: Waiter, error: LockstepError | undefined): void {
    if (!this.#parts.waiters.remove(waiter)) return
    if (error !== undefined) {
      this.#record(waiter.item, recordOfWaiting(waiter, error))
      this.#reject(waiter.item, error)
    }
    this.#serveWaiters(waiter.stream)
  }

  #decideItem(item: Item): void {
    const { plan, waiters } = this.#parts
    const earlier = earlierAnswer(item, plan, this.#parts.receipts)
    if (earlier !== undefined) {
      if ('kind' in earlier) this.#reject(item, errorOf(earlier))
      else this.#resolve(item, earlier)
      return
    }
    if (item.line?.mode === 'call') {
      this.#joinLine(item)
      return
    }
    const decision = this.#decisionOn(item)
    const waits = isContention(decision) && waiters.add(item, decision)
    // A waiting caller is answered when the lock becomes free or when the caller leaves the line.
    if (!waits) this.#conclude(item, decision)
  }

  #conclude(item: Item, decision: Decision): void {
    const { plan } = this.#parts
    if (decision.kind === 'append') {
      this.#accept(item, decision)
    } else if (decision.kind === 'repeat') {
      const entry = plan.entry(decision.seq)
      this.#resolve(item, { entries: entry === undefined ? [] : [entry], replayed: true })
    } else {
      this.#refuse(item, decision)
    }
  }

  /** Adds a caller to a line from which it will be called in. If the lock is free, the caller is called in at once. */
  #joinLine(item: Item): void {
    const decision = this.#decisionOn(item)
    const free: Refusal = { kind: 'refuse', code: 'LOCK_CONTENTION', message: 'the lock was free', details: {} }
    if (!this.#parts.waiters.add(item, isContention(decision) ? decision : free)) {
      this.#reject(item, new LockstepError('QUEUE_FULL', 'too many callers wait for locks'))
    } else if (item.command.type === 'lock.acquire') {
      this.#serveWaiters(streamOf(item.command.name))
    }
  }

  /** Decides a command. If the decision code throws, only this command is refused; the batch goes on. */
  #decisionOn(item: Item): Decision {
    try {
      const decision = this.#decided(item)
      if (!isContention(decision) || !decision.isChange) return decision
      // This caller is the first to judge the lease. The judgement is recorded, and the command is decided again.
      this.#record(item, decision)
      return this.#decided(item)
    } catch (error) {
      return defectIn(item, error)
    }
  }

  #decided(item: Item): Decision {
    const { config, now, plan, waiters } = this.#parts
    const { actor, command, expectedSize } = item
    if (expectedSize !== undefined && expectedSize !== plan.size) return sizeMismatch(expectedSize, plan.size)
    const aggregate = aggregateOf(command.type)
    const place = item.line ?? item.calledFrom
    const waiting = (stream: string) => waiters.inFrontOf(stream, place)
    const context: Context = { actor, config, guard: this.#judgeGuard(item), now, time: plan.time, waiting }
    const decision = aggregate.decide(command, context, plan.reader)
    if (decision.kind === 'append' && context.guard !== undefined) {
      throw new LockstepError('INVARIANT_VIOLATED', `${command.type} was accepted although its guard is not current`)
    }
    return decision
  }

  #judgeGuard({ command }: Item): Refusal | undefined {
    if (command.guard === undefined) return undefined
    const state = this.#parts.plan.row(streamOf(command.guard.name))?.state as LockState | undefined
    return judgeGuard(command.guard, state, command.type, this.#parts.now)
  }

  #accept(item: Item, { changes, events, objects, refusal }: Extract<Decision, { kind: 'append' }>): void {
    const { plan } = this.#parts
    let entries: Entry[]
    try {
      entries = plan.add(events, item)
    } catch (error) {
      const isTooLarge = error instanceof LockstepError && error.code === 'LIMIT_EXCEEDED'
      this.#reject(item, isTooLarge ? error : errorOf(defectIn(item, error)))
      return
    }
    const { notes } = item
    if (changes !== undefined || notes !== undefined || objects !== undefined) plan.addWith({ changes, notes, objects })
    plan.remember(item, entries)
    if (refusal === undefined) this.#resolve(item, { entries, replayed: false })
    else this.#reject(item, errorOf(refusal))
    if (this.#parts.waiters.isEmpty) return
    for (const stream of new Set(entries.map((entry) => entry.stream))) {
      for (const twin of this.#parts.waiters.twinsOf(stream, item)) this.#serve(twin, this.#decisionOn(twin.item))
      this.#serveWaiters(stream)
    }
  }

  #refuse(item: Item, refusal: Refusal): void {
    this.#record(item, refusal)
    this.#reject(item, errorOf(refusal))
  }

  /**
   * Records a refusal that asks for it. A refusal with a change is always recorded; others only if the same refusal
   * was not recorded shortly before.
   */
  #record(item: Item, { isChange, objects, record: wanted }: Pick<Refusal, 'isChange' | 'objects' | 'record'>): void {
    const { now, plan, refusals } = this.#parts
    const record = isChange ? wanted : wanted && refusals.toRecord(wanted, item.actor, plan, now)
    if (record === undefined) return
    plan.add([record], { actor: item.actor, correlationId: item.correlationId })
    plan.addWith({ objects })
  }

  /** Gives a freed lock to the first waiter in its line, within the same batch. */
  #serveWaiters(stream: string): void {
    const { waiters } = this.#parts
    for (let first = waiters.first(stream); first !== undefined; first = waiters.first(stream)) {
      const decision = this.#decisionOn(first.item)
      if (isContention(decision)) {
        first.refusal = decision
        return
      }
      this.#serve(first, decision)
    }
  }

  #serve(waiter: Waiter, decision: Decision): void {
    const { waiters } = this.#parts
    if (waiter.item.line?.mode === 'call') {
      // A deliverable's file must be claimed before its grant is appended, so the waiter is called in and keeps its
      // place.
      waiters.callIn(waiter)
      this.#resolve(waiter.item, { entries: [], replayed: false })
    } else {
      waiters.remove(waiter)
      this.#conclude(waiter.item, decision)
    }
  }

  #resolve(item: Item, outcome: Outcome): void {
    this.answers.push({ item, tell: () => item.resolve(outcome) })
  }

  #reject(item: Item, error: LockstepError): void {
    this.answers.push({ item, tell: () => item.reject(error) })
  }
}

function isContention(decision: Decision): decision is Refusal {
  return decision.kind === 'refuse' && decision.code === 'LOCK_CONTENTION'
}

function sizeMismatch(expected: number, size: number): Refusal {
  return refuse('SIZE_MISMATCH', `the ledger has ${size} entries, not the expected ${expected}`, {
    expected_size: expected,
    size,
  })
}
