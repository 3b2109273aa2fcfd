import { isDeepStrictEqual } from 'node:util'
import { LockstepError, messageOf } from '../errors.ts'
import { sorted } from '../kernel/canonical.ts'
import type { Now } from '../kernel/clock.ts'
import type { Refusal } from '../kernel/decider.ts'
import type { Entry, EventDraft } from '../kernel/entry.ts'
import { wallTimeOf } from '../kernel/entry-time.ts'
import type { Actor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { Plan } from './plan.ts'
import type { Item } from './submission.ts'

/**
 * Keeps recorded refusals from flooding the log: only one per actor, stream, code and requested move in 10 s. It
 * looks for earlier refusals in the log, so the limit also holds across processes. Omitted refusals are counted here,
 * and the next recorded one states the count.
 */
export class RefusalMemory {
  readonly #leftOut = new Map<string, number>()
  /** The previous values of the counts that the current batch changed. */
  #before = new Map<string, number>()

  /** The event to record, or undefined if the same refusal was recorded shortly before. */
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

  /** Ends a batch. The returned function restores the counts, in case the batch is discarded. */
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
 * Walks the stream back over the last 10 s of the wall clock, in a limited number of steps. After a jump of that
 * clock the `time` of entries may stand still, so `wall_time` counts where an entry has it. A jump backwards also
 * ends the walk.
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

/** The code of a refusal, and for runs the requested move, because a refusal of each move is recorded by itself. */
function refusedIn({ data }: Pick<EventDraft, 'data'>): readonly unknown[] {
  return [data.code, data.move]
}

/**
 * Turns an error thrown by a decision into a refusal of its command. The command has changed nothing, because the
 * plan takes all its entries at once. An unreadable database is not a defect: that error is thrown on and stops the
 * writer.
 */
export function defectIn({ command }: Item, error: unknown): Refusal {
  if (error instanceof LockstepError && error.code !== 'INVARIANT_VIOLATED') throw error
  const message = `the decision on ${command.type} failed because of a defect: ${messageOf(error)}`
  return { kind: 'refuse', code: 'INVARIANT_VIOLATED', message, details: { outcome: 'not_applied' }, cause: error }
}

/** Converts a refusal to a LockstepError. */
export function errorOf({ cause, code, message, details }: Refusal): LockstepError {
  return new LockstepError(code, message, { cause, details })
}
