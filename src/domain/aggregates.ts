import { invariant } from '../errors.ts'
import type { Aggregate, Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { auditAggregate } from './audit/aggregate.ts'
import type { AuditCommand } from './audit/commands.ts'
import { lockAggregate } from './lock/aggregate.ts'
import type { LockCommand } from './lock/commands.ts'
import { clockAggregate, type ResetClock } from './log/clock-reset.ts'
import { type CreateLedger, originAggregate } from './log/origin.ts'
import { policyAggregate } from './policy/aggregate.ts'
import type { PolicyCommand } from './policy/commands.ts'
import { runAggregate } from './run/aggregate.ts'
import type { RunCommand } from './run/commands.ts'
import { retryAggregate } from './run/retries.ts'
import { type StagingCommand, stagingAggregate } from './staging/aggregate.ts'
import { turnAggregate } from './turn/aggregate.ts'
import type { TurnCommand } from './turn/commands.ts'

export type LedgerCommand =
  | AuditCommand
  | ResetClock
  | CreateLedger
  | LockCommand
  | PolicyCommand
  | RunCommand
  | StagingCommand
  | TurnCommand

/** Every aggregate of the ledger, by the first word of its commands, events and streams. */
const aggregates: Record<string, Aggregate> = {
  audit: auditAggregate as unknown as Aggregate,
  clock: clockAggregate as unknown as Aggregate,
  ledger: originAggregate as unknown as Aggregate,
  lock: lockAggregate as unknown as Aggregate,
  policy: policyAggregate as unknown as Aggregate,
  retry: retryAggregate,
  run: runAggregate as unknown as Aggregate,
  staging: stagingAggregate as unknown as Aggregate,
  turn: turnAggregate as unknown as Aggregate,
}

/** The aggregate that decides a command or owns a stream: `lock.acquire` and `lock/resource:x` belong to locks. */
export function aggregateOf(commandOrStream: string): Aggregate {
  const aggregate = aggregates[firstWordOf(commandOrStream)]
  invariant(aggregate !== undefined, `"${commandOrStream}" belongs to an aggregate`)
  return aggregate
}

/**
 * The text up to the first `.` or `/`, or all of it. It uses no regular expression, because it runs several times for
 * each entry.
 */
function firstWordOf(text: string): string {
  let end = 0
  while (end < text.length && text.charCodeAt(end) !== dot && text.charCodeAt(end) !== slash) end += 1
  return text.slice(0, end)
}

const dot = 0x2e
const slash = 0x2f

/** The stored form of a row. */
export function storedRow(stream: string, { last_seq, state }: Row): Row {
  const { toStored } = aggregateOf(stream)
  return { last_seq, state: toStored === undefined ? state : toStored(state) }
}

/** Restores a stored row; undefined if an entry that it names is missing. */
export function rowFrom(stream: string, stored: Row, entryAt: (seq: number) => Entry | undefined): Row | undefined {
  const { fromStored } = aggregateOf(stream)
  if (fromStored === undefined) return stored
  const state = fromStored(stored.state, stream, entryAt)
  return state === undefined ? undefined : { last_seq: stored.last_seq, state }
}

/** The row of a stream after its next entry. */
export function evolveRow(row: Row | undefined, entry: Entry): Row {
  return { last_seq: entry.seq, state: aggregateOf(entry.stream).evolve(row?.state, entry) }
}
