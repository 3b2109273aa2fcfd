import { countedRefusals } from '../domain/audit/counted.ts'
import type { RefusalsCounted } from '../domain/audit/events.ts'
import { readAs, targetOfEvent } from '../domain/rendered-event.ts'
import { eventsOfRun, rowOf } from '../domain/run/case.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { canonicalText, type Json } from '../kernel/canonical.ts'
import { isoTime, type Now } from '../kernel/clock.ts'
import type { Refusal } from '../kernel/decider.ts'
import type { Entry, EventDraft } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { sha256Hex } from './core.ts'
import type { CommandFacts, Plan } from './plan.ts'
import { Remembered } from './remembered.ts'
import type { Item } from './submission.ts'

/** A recorded refusal, and how many equal ones were counted in the 10 s after it. */
interface Window {
  actor: CommandFacts['actor']
  count: number
  endsMillis: number
  /** The entry of the first refusal. */
  entry: Entry
  since: string
}

/** The refusals of an actor: when they were recorded, and what was counted above the limit. */
interface OfActor {
  actor: CommandFacts['actor']
  /** Counts by code; empty if nothing was counted. */
  rest: Readonly<Record<string, number>>
  restEndsMillis: number
  since: string
  /** When the last refusals were recorded, at most as many as an actor may have on record in a minute. */
  recordedMillis: readonly number[]
}

/**
 * Keeps recorded refusals from flooding the log (ADR 0058). A refusal is recorded, unless an equal one was recorded
 * less than 10 s ago: then it is counted, and the count is recorded when the 10 s are over, or when the ledger is
 * closed. An actor has at most 60 refusals on record in a minute; any further ones are counted in one entry. All of
 * this is in memory, so a crash loses what was counted and not recorded yet.
 */
export class RefusalMemory {
  readonly #windows = new Remembered<Window>()
  readonly #actors = new Remembered<OfActor>()
  #timer: NodeJS.Timeout | undefined

  /** Whether to record a refusal. If not, it was counted. It is not asked about a refusal with a change. */
  admits(record: EventDraft, item: Item, now: Now): boolean {
    const nowMillis = now.lease_clock.boot_ms
    const key = keyOf(record, item)
    const window = this.#windows.get(key)
    if (window !== undefined && nowMillis < window.endsMillis) {
      const since = window.count === 0 ? isoTime(now.wall_ms) : window.since
      this.#windows.set(key, { ...window, count: window.count + 1, since })
      return false
    }
    if (this.#mayRecord(item.actor.actor_id, nowMillis)) return true
    this.#countRest(item.actor, { [codeOf(record)]: 1 }, now)
    return false
  }

  /** Remembers an entry of a refusal. The entry of a change without a refusal, such as a judgement, has no code. */
  recorded(entry: Entry | undefined, item: Item, now: Now): void {
    if (entry?.data.code === undefined) return
    const nowMillis = now.lease_clock.boot_ms
    this.#noteRecorded(item.actor, now)
    if (this.#windows.size >= limits.refusalWindowsMax) return
    const key = keyOf(entry, item)
    // A refusal with a change is recorded although equal ones are being counted. Their count goes on.
    const { count, since } = this.#windows.get(key) ?? { count: 0, since: entry.time }
    const endsMillis = nowMillis + limits.refusalRepeatMillis
    this.#windows.set(key, { actor: item.actor, count, endsMillis, entry, since })
  }

  /**
   * Adds the entries of counts to a plan: of those whose time is over, or of all. It may throw `notLoaded`; it then
   * continues at the next call. Nothing follows a seal, so the counts are then forgotten.
   */
  record({ now, plan }: { now: Now; plan: Plan }, which: 'due' | 'all'): void {
    const nowMillis = now.lease_clock.boot_ms
    const isSealed = plan.sealed !== undefined
    for (const [key, window] of this.#windows.entries()) {
      if (which === 'due' && nowMillis < window.endsMillis) continue
      if (window.count > 0 && !isSealed) this.#recordWindow(window, plan, now)
      this.#windows.set(key, undefined)
    }
    for (const [key, of] of this.#actors.entries()) {
      if (which === 'due' && nowMillis < of.restEndsMillis) continue
      const { actor, rest, since } = of
      if (isSealed) this.#actors.set(key, undefined)
      else if (Object.keys(rest).length > 0) {
        const event = countedRefusals(rest, { outcome: 'deny', since, target: restTarget(actor.actor_id) })
        plan.add([event], { actor })
        this.#actors.set(key, { ...of, rest: {} })
      } else if (!isWithinMinute(of.recordedMillis.at(-1), nowMillis)) this.#actors.set(key, undefined)
    }
  }

  /** Whether a count is not recorded yet. */
  get isCounting(): boolean {
    return this.#dueMillis() !== Number.POSITIVE_INFINITY
  }

  /** Has the next count recorded in time although no command comes. */
  arm(now: Now, record: () => void): void {
    clearTimeout(this.#timer)
    const millis = this.#dueMillis() - now.lease_clock.boot_ms
    if (millis < Number.POSITIVE_INFINITY) this.#timer = setTimeout(record, Math.max(millis, timerMillisMin)).unref()
  }

  /** Ends a batch. The returned function restores the counts, in case the batch is discarded. */
  endBatch(): () => void {
    const undo = [this.#windows.endBatch(), this.#actors.endBatch()]
    return () => {
      for (const restore of undo) restore()
    }
  }

  /** Records what was counted in a window, on the stream of the refusal. Above the limit it joins the actor's rest. */
  #recordWindow({ actor, count, entry, since }: Window, plan: Plan, now: Now): void {
    const counts = { [codeOf(entry)]: count }
    if (!this.#mayRecord(actor.actor_id, now.lease_clock.boot_ms)) {
      this.#countRest(actor, counts, now, since)
      return
    }
    const outcome: RefusalsCounted['outcome'] = readAs(entry).outcome === 'deny' ? 'deny' : 'failure'
    const facts = { like: entry.event_id, outcome, since, stream: entry.stream, target: targetOfEvent(entry) }
    const event = countedRefusals(counts, facts)
    const run = entry.run_id === undefined ? undefined : rowOf(plan.reader, entry.run_id)
    const events = run === undefined ? [event] : eventsOfRun({ lastSeq: run.last_seq, run: run.state }, [event])
    plan.add(events, { actor, correlationId: entry.correlation_id })
    this.#noteRecorded(actor, now)
  }

  /** When the next count is due; infinite if nothing is counted. */
  #dueMillis(): number {
    let dueMillis = Number.POSITIVE_INFINITY
    for (const [, { count, endsMillis }] of this.#windows.entries()) {
      if (count > 0) dueMillis = Math.min(dueMillis, endsMillis)
    }
    for (const [, { rest, restEndsMillis }] of this.#actors.entries()) {
      if (Object.keys(rest).length > 0) dueMillis = Math.min(dueMillis, restEndsMillis)
    }
    return dueMillis
  }

  #mayRecord(actorId: string, nowMillis: number): boolean {
    const [oldest, ...others] = this.#of(actorId)?.recordedMillis ?? []
    return others.length + 1 < limits.refusalsPerMinute || !isWithinMinute(oldest, nowMillis)
  }

  #noteRecorded(actor: Window['actor'], { lease_clock, wall_ms }: Now): void {
    const since = isoTime(wall_ms)
    const before = this.#of(actor.actor_id) ?? { actor, recordedMillis: [], rest: {}, restEndsMillis: 0, since }
    const recordedMillis = [...before.recordedMillis, lease_clock.boot_ms].slice(-limits.refusalsPerMinute)
    this.#set(actor.actor_id, { ...before, recordedMillis })
  }

  #countRest(actor: Window['actor'], counts: OfActor['rest'], now: Now, since = isoTime(now.wall_ms)): void {
    const before = this.#of(actor.actor_id) ?? { actor, recordedMillis: [], rest: {}, restEndsMillis: 0, since }
    const rest = { ...before.rest }
    for (const [code, count] of Object.entries(counts)) rest[code] = (rest[code] ?? 0) + count
    const isFirst = Object.keys(before.rest).length === 0
    const restEndsMillis = now.lease_clock.boot_ms + minuteMillis
    this.#set(actor.actor_id, isFirst ? { ...before, rest, restEndsMillis, since } : { ...before, rest })
  }

  /** Actors above the limit share one record, so that inventing ids does not lift the limits. */
  #of(actorId: string): OfActor | undefined {
    return this.#actors.get(actorId) ?? (this.#isFull ? this.#actors.get(others.actor_id) : undefined)
  }

  #set(actorId: string, of: OfActor): void {
    const isShared = this.#isFull && this.#actors.get(actorId) === undefined
    this.#actors.set(isShared ? others.actor_id : actorId, isShared ? { ...of, actor: others } : of)
  }

  get #isFull(): boolean {
    return this.#actors.size >= limits.refusalActorsMax
  }
}

const minuteMillis = 60_000

/** Counts are due by the lease clock, which timers do not follow. So a timer is never set shorter than this. */
const timerMillisMin = 500

/** The actors above the limit, under one id. A caller that takes this id gains nothing from it. */
const others = { actor_id: 'lockstep:other-actors', actor_type: 'system' } as const

function isWithinMinute(millis: number | undefined, nowMillis: number): boolean {
  return millis !== undefined && nowMillis - millis < minuteMillis
}

function codeOf({ data }: Pick<EventDraft, 'data'>): string {
  return String(data.code)
}

function restTarget(actorId: string) {
  return { name: actorId, operation: 'refusals.count', target_type: 'system' } as const
}

/**
 * Equal refusals have the same key: the same actor, stream, code, command and target. Neither the message nor
 * the presented lock_id counts. An action is not in the entry of its refusal, so it is taken from the command.
 */
function keyOf({ data, stream, type }: Pick<EventDraft, 'data' | 'stream' | 'type'>, { actor, command }: Item): string {
  const { current_token: _, facts, lock_ref: __, message: ___, ...told } = data
  const { seq: ____, ...asked } = (facts ?? {}) as Record<string, Json>
  const action = 'action' in command ? [command.action.action_type, command.action.target as Json] : null
  return sha256Hex(canonicalText([actor.actor_id, stream, type, told, asked, action] as Json))
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
