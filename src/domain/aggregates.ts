import { invariant } from '../errors.ts'
import type { Aggregate, NamedObject, Stream } from '../kernel/aggregate.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { approvalAggregate } from './approval/aggregate.ts'
import { auditAggregate } from './audit/aggregate.ts'
import { erasureAggregate } from './erasure/aggregate.ts'
import { lockAggregate } from './lock/aggregate.ts'
import { streamOf as streamOfLock } from './lock/names.ts'
import { clockAggregate } from './log/clock-reset.ts'
import { originAggregate } from './log/origin.ts'
import { seatAggregate } from './log/seat.ts'
import { policyAggregate } from './policy/aggregate.ts'
import { runAggregate } from './run/aggregate.ts'
import { tokenAggregate } from './token/aggregate.ts'
import { turnAggregate } from './turn/aggregate.ts'

/** Every aggregate of the ledger. Contract v1 lists events in this order. */
export const aggregates = [
  originAggregate,
  clockAggregate,
  seatAggregate,
  lockAggregate,
  auditAggregate,
  policyAggregate,
  runAggregate,
  turnAggregate,
  tokenAggregate,
  approvalAggregate,
  erasureAggregate,
] as const

export type LedgerCommand = Parameters<(typeof aggregates)[number]['decide']>[0]

// The look-ups are maps, because a map never finds a member of Object.
const all = aggregates as unknown as readonly Aggregate[]
const byCommand = new Map(all.flatMap((aggregate) => aggregate.commands.map((word) => [word, aggregate])))
const byEvent = new Map(all.flatMap((aggregate) => Object.keys(aggregate.events).map((type) => [type, aggregate])))
const streams = new Map(all.flatMap((aggregate) => Object.entries(aggregate.streams)))

/** The aggregate that decides a command, by the command's type. */
export function aggregateOf(command: string): Aggregate {
  const aggregate = byCommand.get(firstWordOf(command))
  invariant(aggregate !== undefined, `"${command}" belongs to an aggregate`)
  return aggregate
}

/** The aggregate of an event, by the event's type. */
export function aggregateOfEvent(type: string): Aggregate {
  const aggregate = byEvent.get(type)
  invariant(aggregate !== undefined, `"${type}" belongs to an aggregate`)
  return aggregate
}

/** Every stream that the command names and its decision may use, with the lock of its guard. */
export function readsOf(command: LedgerCommand): readonly string[] {
  const reads = aggregateOf(command.type).reads(command)
  return command.guard === undefined ? reads : [...reads, streamOfLock(command.guard.name)]
}

/** The keys of the derived state that the decision on a command reads, as far as the command names them. */
export function stateReadsOf(command: LedgerCommand): readonly string[] {
  return aggregateOf(command.type).readsOfState?.(command) ?? []
}

/** The objects that an entry names, directly or through its manifest object. */
export function objectsOf(entry: Entry, textOf: (digest: string) => string): Iterable<NamedObject> {
  return byEvent.get(entry.type)?.objects?.(entry, textOf) ?? []
}

/** The digests of the objects that an entry erases, in the same batch. */
export function erasedBy({ data, type }: Entry): readonly string[] {
  return type === 'object.erased' ? (data.digests as string[]) : []
}

/**
 * Whether the row of a stream holds free texts of its entries. `entry` means that it has them only in memory, because
 * its stored form names the entry.
 */
export function textsInRow(stream: string): Stream['keepsTexts'] {
  return partsOf(stream).keepsTexts
}

/** The stored form of a row. */
export function storedRow(stream: string, { last_seq, state }: Row): Row {
  const { toStored } = partsOf(stream)
  return { last_seq, state: toStored === undefined ? state : toStored(state) }
}

/** Restores a stored row; undefined if an entry that it names is missing. */
export function rowFrom(stream: string, stored: Row, entryAt: (seq: number) => Entry | undefined): Row | undefined {
  const { fromStored } = partsOf(stream)
  if (fromStored === undefined) return stored
  const state = fromStored(stored.state, stream, entryAt)
  return state === undefined ? undefined : { last_seq: stored.last_seq, state }
}

/** The row of a stream after its next entry. */
export function evolveRow(row: Row | undefined, entry: Entry): Row {
  return { last_seq: entry.seq, state: partsOf(entry.stream).evolve(row?.state, entry) }
}

function partsOf(stream: string): Stream {
  const parts = streams.get(firstWordOf(stream))
  invariant(parts !== undefined, `"${stream}" belongs to an aggregate`)
  return parts
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
