import type { Now } from '../core/clock.ts'
import type { Entry, EventDraft } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../log/log.ts'
import type { Plan } from './plan.ts'

/**
 * Keeps recorded refusals from flooding the log: one for an actor, stream and code in 10 s. The log itself is
 * asked, so the bound holds across processes; how many were left out is counted here and said by the next.
 */
export class RefusalMemory {
  readonly #leftOut = new Map<string, number>()

  /** The event to record, or undefined where its twin was recorded just before. */
  toRecord(record: EventDraft, actor: Actor, plan: Plan, log: Log, now: Now): EventDraft | undefined {
    const key = JSON.stringify([actor.actor_id, record.stream, record.data.code])
    const leftOut = this.#leftOut.get(key) ?? 0
    if (hasTwin(record, actor, plan, log, now)) {
      if (this.#leftOut.size >= limits.waitersMax) this.#leftOut.clear()
      this.#leftOut.set(key, leftOut + 1)
      return undefined
    }
    this.#leftOut.delete(key)
    if (leftOut === 0) return record
    const { token, ...before } = record.data
    return { ...record, data: { ...before, repeats: leftOut, ...(token === undefined ? {} : { token }) } }
  }
}

/** Walks the stream back over the last 10 s, a bounded number of steps. */
function hasTwin(record: EventDraft, actor: Actor, plan: Plan, log: Log, now: Now): boolean {
  let seq = plan.row(record.stream)?.last_seq ?? null
  for (let step = 0; step < limits.refusalLookBack && seq !== null; step += 1) {
    const entry: Entry | undefined = plan.entry(seq) ?? log.entry(seq)
    if (entry === undefined || now.wall_ms - Date.parse(entry.time) >= limits.refusalRepeatMillis) return false
    const isTwin = entry.type === record.type && entry.data.code === record.data.code
    if (isTwin && entry.actor.actor_id === actor.actor_id) return true
    seq = entry.prev.stream
  }
  return false
}
