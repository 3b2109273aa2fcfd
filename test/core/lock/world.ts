import { deepStrictEqual } from 'node:assert'
import { aggregateOf, evolveRow, type LedgerCommand } from '../../../src/domain/aggregates.ts'
import { auditEventSchemas } from '../../../src/domain/audit/events.ts'
import { judgeGuard } from '../../../src/domain/lock/decide.ts'
import { lockEventSchemas } from '../../../src/domain/lock/events.ts'
import { streamOf } from '../../../src/domain/lock/names.ts'
import type { Grant, LockState } from '../../../src/domain/lock/state.ts'
import { assertCanonical } from '../../../src/kernel/canonical.ts'
import { isoTime, type LeaseClock, type Now } from '../../../src/kernel/clock.ts'
import { type Config, defaultConfig } from '../../../src/kernel/config.ts'
import type { Decision, Row } from '../../../src/kernel/decider.ts'
import { type Entry, type EventDraft, entryOf, entrySchema } from '../../../src/kernel/entry.ts'
import { type Actor, eventIdOf } from '../../../src/kernel/ids.ts'
import { DeclaredRows } from '../declared-rows.ts'

/** Who acts in the tables. */
export const worker: Actor = { actor_id: 'agent-1', actor_type: 'agent' }
export const other: Actor = { actor_id: 'agent-2', actor_type: 'agent' }
export const becca: Actor = { actor_id: 'BECCA', actor_type: 'human' }
export const operator: Actor = { actor_id: 'op', actor_type: 'human' }

/** The seq of the first entry: not 0, so that a token mistaken for "none" shows. */
const firstSeq = 10

const eventSchemas = { ...auditEventSchemas, ...lockEventSchemas }

/** The lease clock of a machine that was never suspended. */
export function clockAt(boot_id: string, boot_ms: number): LeaseClock {
  return { boot_id, boot_ms, monotonic_ms: boot_ms, time_ns: 'time:[4026531834]' }
}

/**
 * The ledger without sequencer, log and disk: rows and entries over the pure deciders, at a moment that the test
 * sets. Every event that is decided is held to its schema and to canonical order.
 */
export class World {
  readonly entries: Entry[] = []
  readonly rows = new Map<string, Row>()
  readonly waiting = new Map<string, number>()
  config: Config = { ...defaultConfig, operators: [operator.actor_id] }
  now: Now = {
    wall_ms: Date.UTC(2026, 1, 2, 12),
    lease_clock: clockAt('boot-1', 5_000_000),
    host_id: 'host-1',
  }

  get time(): string {
    return isoTime(this.now.wall_ms)
  }

  get nextSeq(): number {
    return firstSeq + this.entries.length
  }

  /** Lets both clocks run, the wall clock by another amount if told so. */
  pass(millis: number, wallMillis = millis): void {
    const { boot_id, boot_ms } = this.now.lease_clock
    const lease_clock = clockAt(boot_id, boot_ms + millis)
    this.now = { ...this.now, wall_ms: this.now.wall_ms + wallMillis, lease_clock }
  }

  decide(command: LedgerCommand, actor: Actor): Decision {
    const { guard } = command
    const judged = guard && judgeGuard(guard, this.stateOf(guard.name), command.type, this.now)
    const waiting = (stream: string) => this.waiting.get(stream) ?? 0
    const context = {
      actor,
      config: this.config,
      guard: judged,
      now: this.now,
      time: this.time,
      token_offset: 0,
      waiting,
    }
    const rows = new DeclaredRows(command, this.rows)
    return rows.check(aggregateOf(command.type).decide(command, context, rows))
  }

  /** Decides, and appends what the decision says: its events, or the record of its refusal. */
  run(command: LedgerCommand, actor: Actor): { decision: Decision; entries: Entry[] } {
    const decision = this.decide(command, actor)
    const drafts =
      decision.kind === 'append'
        ? decision.events
        : decision.kind === 'refuse' && decision.record !== undefined
          ? [decision.record]
          : []
    return { decision, entries: drafts.map((draft) => this.append(draft, actor)) }
  }

  append(draft: EventDraft, actor: Actor): Entry {
    const entry = entryOf(draft, {
      actor,
      correlationId: undefined,
      eventId: eventIdOf('testledger00', this.nextSeq),
      previous: this.rows.get(draft.stream)?.last_seq ?? null,
      request: undefined,
      seq: this.nextSeq,
      time: this.time,
      wallTime: undefined,
    })
    assertCanonical(entry)
    entrySchema.parse(entry)
    const schema = eventSchemas[draft.type as keyof typeof eventSchemas]
    deepStrictEqual(schema.parse(entry.data), entry.data)
    this.entries.push(entry)
    this.rows.set(draft.stream, evolveRow(this.rows.get(draft.stream), entry))
    return entry
  }

  stateOf(name: string): LockState | undefined {
    return this.rows.get(streamOf(name))?.state as LockState | undefined
  }

  grantOf(name: string): Grant | null {
    return this.stateOf(name)?.grant ?? null
  }
}

/** All rows, made anew from the entries alone. */
export function replayed(entries: readonly Entry[]): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const entry of entries) rows.set(entry.stream, evolveRow(rows.get(entry.stream), entry))
  return rows
}
