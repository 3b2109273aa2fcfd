import { lineOfStream, streamOf } from '../domain/lock/names.ts'
import { LockstepError } from '../errors.ts'
import type { Decision, Refusal } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import type { Appended } from '../log/log.ts'
import { notLoaded } from '../views/loaded.ts'
import type { Receipts } from '../views/receipts.ts'
import { type DecisionParts, decisionOn, isContention } from './decision.ts'
import { recordOfWaiting } from './gave-up.ts'
import type { Plan } from './plan.ts'
import { defectIn, errorOf, type RefusalMemory } from './refusals.ts'
import { earlierAnswer } from './requests.ts'
import type { Answer, Item, Outcome, Step, Waiter } from './submission.ts'
import type { Tally } from './tally.ts'
import type { LineChanges } from './waiters.ts'

interface BatchParts extends DecisionParts {
  receipts: Receipts
  refusals: RefusalMemory
  tally: Tally
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
 *
 * A step that reads a value that is not in memory is given up, and decided anew once the value was loaded. So all
 * reads of a step come before its first effect, or its effects so far are such that the step goes on from there. What
 * an accepted command means for waiting callers is decided as a step of its own, right after it.
 */
export class Batch {
  readonly answers: Answer[] = []
  /** The number of steps that were decided. */
  decided = 0
  readonly #parts: BatchParts
  readonly #steps: readonly Step[]
  /** The lines whose first waiters are still to be served, and the accepted command that may have freed the lock. */
  readonly #toServe: { stream: string; accepted?: Item }[] = []
  readonly #until = performance.now() + limits.batchMillisMax

  constructor(parts: BatchParts, steps: readonly Step[]) {
    this.#parts = parts
    this.#steps = steps
  }

  /**
   * Decides steps in order until a limit of the batch is reached. Returns false if values must be loaded first; it is
   * then called again.
   */
  decide(): boolean {
    try {
      this.#parts.refusals.record(this.#parts, 'due')
      this.#serveLines()
      for (let step = this.#steps[this.decided]; step !== undefined; step = this.#steps[this.decided]) {
        if (this.#parts.plan.isFull || (this.decided > 0 && performance.now() >= this.#until)) break
        this.#decide(step)
        this.decided += 1
        this.#serveLines()
      }
      return true
    } catch (cause) {
      if (cause === notLoaded) return false
      throw cause
    }
  }

  #decide(step: Step): void {
    if ('counts' in step) this.#parts.refusals.record(this.#parts, step.counts)
    else if ('poke' in step) this.#serveWaiters(step.poke)
    else if ('leave' in step) this.#decideLeave(step.leave, step.error)
    else this.#decideItem(step.item)
  }

  /** The waiter may have been first in line or called in, so the next waiter is checked. */
  #decideLeave(waiter: Waiter, error: LockstepError | undefined): void {
    const { waiters } = this.#parts
    if (waiters.has(waiter)) {
      if (error !== undefined) {
        this.#record(waiter.item, recordOfWaiting(waiter, error))
        this.#reject(waiter.item, error)
      }
      waiters.remove(waiter)
    }
    this.#serveWaiters(waiter.stream)
  }

  /** Serves the lines that a step concerns. A waiter that is served may concern further lines. */
  #serveLines(): void {
    for (let next = this.#toServe[0]; next !== undefined; next = this.#toServe[0]) {
      const { accepted, stream } = next
      const nextTwin = () => (accepted === undefined ? undefined : this.#parts.waiters.twinsOf(stream, accepted)[0])
      for (let twin = nextTwin(); twin !== undefined; twin = nextTwin()) {
        this.#serve(twin, this.#decisionOn(twin.item))
      }
      this.#serveWaiters(stream)
      this.#toServe.shift()
    }
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
      this.#toServe.push({ stream: streamOf(item.command.name) })
    }
  }

  /** Decides a command. If the decision code throws, only this command is refused; the batch goes on. */
  #decisionOn(item: Item): Decision {
    try {
      const decision = decisionOn(item, this.#parts)
      if (!isContention(decision) || !decision.isChange) return decision
      // This caller is the first to judge the lease. The judgement is recorded, and the command is decided again.
      this.#record(item, decision)
      return decisionOn(item, this.#parts)
    } catch (error) {
      if (error === notLoaded || this.#parts.views.isMissed) throw notLoaded
      return defectIn(item, error)
    }
  }

  #accept(item: Item, { changes, events, objects, refusal, rows }: Extract<Decision, { kind: 'append' }>): void {
    const { plan } = this.#parts
    let entries: Entry[]
    try {
      entries = plan.add(events, item, rows)
    } catch (error) {
      if (error === notLoaded) throw error
      const isTooLarge = error instanceof LockstepError && error.code === 'LIMIT_EXCEEDED'
      this.#reject(item, isTooLarge ? error : errorOf(defectIn(item, error)))
      return
    }
    const { notes } = item
    plan.addWith({ changes, notes, objects })
    plan.remember(item, entries)
    if (refusal === undefined) this.#resolve(item, { entries, replayed: false })
    else this.#reject(item, errorOf(refusal))
    if (this.#parts.waiters.isEmpty) return
    const lines = new Set(entries.map(({ stream }) => lineOfStream(stream)))
    for (const stream of lines) this.#toServe.push({ stream, accepted: item })
  }

  #refuse(item: Item, refusal: Refusal): void {
    this.#record(item, refusal)
    this.#reject(item, errorOf(refusal))
  }

  /** Records a refusal that asks for it, unless it is counted because an equal refusal was recorded shortly before. */
  #record(item: Item, { isChange, objects, record: wanted }: Pick<Refusal, 'isChange' | 'objects' | 'record'>): void {
    const { now, plan, refusals } = this.#parts
    // Nothing follows a seal, so what is refused after it is not recorded.
    if (wanted === undefined || plan.sealed !== undefined || !(isChange || refusals.admits(wanted, item, now))) return
    const { actor, correlationId, trace } = item
    const [entry] = plan.add([wanted], { actor, correlationId, trace })
    plan.addWith({ objects })
    refusals.recorded(entry, item, now)
  }

  /** Gives a freed lock to the first waiter in its line, within the same batch; freed paths to all that are due. */
  #serveWaiters(stream: string): void {
    let isServed = true
    while (isServed) {
      isServed = false
      for (const waiter of this.#parts.waiters.due(stream)) {
        const decision = this.#decisionOn(waiter.item)
        if (isContention(decision)) waiter.refusal = decision
        else this.#serve(waiter, decision)
        isServed ||= !isContention(decision)
      }
      // A waiter that left its line without a grant may have been in front of others.
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
      this.#conclude(waiter.item, decision)
      waiters.remove(waiter)
    }
  }

  #resolve(item: Item, outcome: Outcome): void {
    this.answers.push({ item, tell: () => item.resolve(outcome) })
  }

  #reject(item: Item, error: LockstepError): void {
    const tell = () => {
      this.#parts.tally.refused(item, error.code)
      item.reject(error)
    }
    this.answers.push({ item, tell })
  }
}

/** The number of steps for the next batch. If the disk is idle, a long queue is halved so that writing starts soon. */
export function batchMax(queued: number, isIdle: boolean): number {
  const isHalved = isIdle && queued >= limits.batchHalvedFrom
  return Math.min(isHalved ? Math.ceil(queued / 2) : queued, limits.batchEntriesMax)
}
