import { isDeepStrictEqual } from 'node:util'
import { sorted } from '../core/canonical.ts'
import type { Now } from '../core/clock.ts'
import type { Refusal } from '../core/decider.ts'
import type { Entry, EventDraft } from '../core/entry.ts'
import { wallTimeOf } from '../core/entry-time.ts'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Plan } from './plan.ts'
import type { Item } from './submission.ts'

/**
 * Keeps recorded refusals from flooding the log: one for an actor, stream, code and wanted move in 10 s. The log itself
 * is asked, so the bound holds across processes; how many were left out is counted here and said by the next.
 */
export class RefusalMemory {
  readonly #leftOut = new Map<string, number>()
  /** The counts that the batch under way has changed, as they were before. */
  #before = new Map<string, number>()

  /** The event to record, or undefined where its twin was recorded just before. */
  toRecord(record: EventDraft, actor: Actor, plan: Plan, now: Now): EventDraft | undefined {
    const key = JSON.stringify([actor.actor_id, record.stream, ...refusedIn(record)])
    const leftOut = this.#leftOut.get(key) ?? 0
    if (hasTwin(record, actor, plan, now)) {
      this.#set(key, leftOut + 1)
      return undefined
    }
    if (leftOut === 0) return record
    this.#set(key, 0)
    return { ...record, data: sorted({ ...record.data, repeats: leftOut } as never) }
  }

  /** Ends a batch: what sets the counts back to what they were before it, should it be void. */
  endBatch(): () => void {
    const before = this.#before
    this.#before = new Map()
    if (this.#leftOut.size > limits.waitersMax) this.#leftOut.clear()
    return () => {
      for (const [key, leftOut] of before) this.#leftOut.set(key, leftOut)
    }
  }

  #set(key: string, leftOut: number): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#leftOut.get(key) ?? 0)
    if (leftOut === 0) this.#leftOut.delete(key)
    else this.#leftOut.set(key, leftOut)
  }
}

/**
 * Walks the stream back over the last 10 s of the wall clock, a bounded number of steps. After a jump of that clock
 * an entry's time may stand still, so its `wall_time` counts where it has one; a jump back ends the walk too.
 */
function hasTwin(record: EventDraft, actor: Actor, plan: Plan, now: Now): boolean {
  let seq = plan.row(record.stream)?.last_seq ?? null
  for (let step = 0; step < limits.refusalLookBack && seq !== null; step += 1) {
    const entry: Entry | undefined = plan.entry(seq)
    if (entry === undefined) return false
    const apartMillis = Math.abs(now.wall_ms - Date.parse(wallTimeOf(entry)))
    if (apartMillis >= limits.refusalRepeatMillis) return false
    const isTwin = entry.type === record.type && isDeepStrictEqual(refusedIn(entry), refusedIn(record))
    if (isTwin && entry.actor.actor_id === actor.actor_id) return true
    seq = entry.prev.stream
  }
  return false
}

/** What was refused: by its code, and of a run's moves by the one that was wanted, for each of them is a fact. */
function refusedIn({ data }: Pick<EventDraft, 'data'>): readonly unknown[] {
  return [data.code, data.move]
}

/**
 * What a decision threw, as the refusal of its command: it changed nothing, since the plan takes a command's entries
 * all at once. A database that cannot be read is no defect; that error is thrown on and stops the writer.
 */
export function defectIn({ command }: Item, error: unknown): Refusal {
  if (error instanceof LockstepError && error.code !== 'INVARIANT_VIOLATED') throw error
  const message = `a defect in the decision on ${command.type}: ${messageOf(error)}`
  return { kind: 'refuse', code: 'INVARIANT_VIOLATED', message, details: { outcome: 'not_applied' }, cause: error }
}

/** A refusal as the one class of error that callers catch. */
export function errorOf({ cause, code, message, details }: Refusal): LockstepError {
  return new LockstepError(code, message, { cause, details })
}
