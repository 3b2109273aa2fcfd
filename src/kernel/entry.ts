import * as z from 'zod'
import type { Json } from './canonical.ts'
import { actorSchema, type RecordedActor, recordedActorSchema } from './ids.ts'
import { type TraceContext, traceparentForm, tracestateForm } from './trace.ts'

const hex64 = z.string().regex(/^[0-9a-f]{64}$/)
const seqSchema = z.int().min(0)

export const traceSchema = z.strictObject({
  traceparent: z.string().regex(traceparentForm, 'must be a traceparent of version 00'),
  tracestate: z.string().regex(tracestateForm, 'must be 1 to 512 characters of ASCII').optional(),
})

/** Ties the entries of one idempotent request together: this is entry `index` of `count`. */
export const requestSchema = z.strictObject({
  count: z.int().min(1),
  index: z.int().min(0),
  key: z.string().min(1).max(200),
  sha256: hex64,
})

/**
 * One recorded event at its place in the log. Members are in canonical order, so that
 * plain `JSON.stringify` of an entry gives its RFC 8785 text, which the leaf hash is made over.
 */
export const entrySchema = z.strictObject({
  actor: recordedActorSchema,
  case_id: z.string().min(1).max(120).optional(),
  causation_id: z.string().min(1).max(120).optional(),
  contract_version: z.literal('v1'),
  correlation_id: z.string().min(1).max(120).optional(),
  data: z.record(z.string().regex(/^[a-z_][a-z0-9_]*$/), z.json()),
  event_id: z.string().min(8).max(120),
  lane_id: z.string().min(1).max(120).optional(),
  parent_run_id: z.string().min(1).max(120).optional(),
  policy_versions: z.strictObject({ lanes: z.string().min(1).max(64), roles: z.string().min(1).max(64) }),
  prev: z.strictObject({ run: seqSchema.nullable().optional(), stream: seqSchema.nullable() }),
  request: requestSchema.optional(),
  /** The role of the run. Entries of earlier versions do not have it. */
  role_id: actorSchema.shape.role_id,
  root_run_id: z.string().min(1).max(120).optional(),
  run_id: z.string().min(1).max(120).optional(),
  seq: seqSchema,
  stream: z.string().min(1).max(300),
  time: z.iso.datetime({ precision: 3 }),
  /** The distributed trace that the call belonged to. */
  trace: traceSchema.optional(),
  type: z.string().regex(/^[a-z]+\.[a-z_]+$/),
  wall_time: z.iso.datetime({ precision: 3 }).optional(),
})

type EntryData = { [key: string]: Json | undefined }
export interface Entry<Type extends string = string, Data = EntryData> {
  actor: RecordedActor
  case_id?: string
  contract_version: 'v1'
  correlation_id?: string
  data: Data
  event_id: string
  lane_id?: string
  parent_run_id?: string
  policy_versions: { lanes: string; roles: string }
  prev: { run?: number | null; stream: number | null }
  request?: z.infer<typeof requestSchema>
  role_id?: string
  root_run_id?: string
  run_id?: string
  seq: number
  stream: string
  time: string
  trace?: TraceContext
  type: Type
  wall_time?: string
}

/**
 * An event from a decision: an entry without the members that depend on its place in the log. Data keys are in
 * canonical order.
 */
export interface EventDraft<Type extends string = string, Data = EntryData> {
  type: Type
  stream: string
  data: Data
  /** The run that the event belongs to. */
  run?: RunOfEvent
}

/** The members about the run that every entry of a run has. */
export interface RunOfEvent {
  case_id: string | null
  correlation_id: string | null
  lane_id: string | null
  parent_run_id: string | null
  policy_versions: { lanes: string; roles: string }
  /** The seq of the run's previous entry, or a mark that this is the event before it in the same append. */
  previous: number | null | 'event before'
  role_id?: string | undefined
  root_run_id: string
  run_id: string
}

/** The facts about an entry's place that the sequencer adds. */
export interface Placement {
  actor: RecordedActor
  correlationId: string | undefined
  eventId: string
  /** The pins in force, for events outside any run. */
  pins?: { lanes: string; roles: string } | undefined
  previous: number | null
  request: z.infer<typeof requestSchema> | undefined
  seq: number
  time: string
  trace?: TraceContext | undefined
  wallTime: string | undefined
}

/** Builds the entry of an event at its place in the log, with members in canonical order. */
export function entryOf(draft: EventDraft, place: Placement): Entry {
  if (draft.run !== undefined) return entryOfRun(draft, draft.run, place)
  // Members are set one at a time instead of spread. This code runs for every entry, and objects built this way share
  // their hidden class.
  const entry: Partial<Entry> = { actor: place.actor, contract_version: 'v1' }
  if (place.correlationId !== undefined) entry.correlation_id = place.correlationId
  entry.data = draft.data
  entry.event_id = place.eventId
  entry.policy_versions = place.pins ?? unpinned
  entry.prev = { stream: place.previous }
  if (place.request !== undefined) entry.request = place.request
  entry.seq = place.seq
  entry.stream = draft.stream
  entry.time = place.time
  if (place.trace !== undefined) entry.trace = place.trace
  entry.type = draft.type
  if (place.wallTime !== undefined) entry.wall_time = place.wallTime
  return entry as Entry
}

/** The same for an event of a run. The correlation_id of the run takes precedence over the caller's. */
function entryOfRun(draft: EventDraft, run: RunOfEvent, place: Placement): Entry {
  const correlationId = run.correlation_id ?? place.correlationId
  return {
    actor: place.actor,
    ...(run.case_id === null ? {} : { case_id: run.case_id }),
    contract_version: 'v1',
    ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    data: draft.data,
    event_id: place.eventId,
    ...(run.lane_id === null ? {} : { lane_id: run.lane_id }),
    ...(run.parent_run_id === null ? {} : { parent_run_id: run.parent_run_id }),
    policy_versions: run.policy_versions,
    prev: { run: run.previous === 'event before' ? place.seq - 1 : run.previous, stream: place.previous },
    ...(place.request === undefined ? {} : { request: place.request }),
    ...(run.role_id === undefined ? {} : { role_id: run.role_id }),
    root_run_id: run.root_run_id,
    run_id: run.run_id,
    seq: place.seq,
    stream: draft.stream,
    time: place.time,
    ...(place.trace === undefined ? {} : { trace: place.trace }),
    type: draft.type,
    ...(place.wallTime === undefined ? {} : { wall_time: place.wallTime }),
  }
}

/** The pins of an entry outside any run if no policy is loaded. */
const unpinned = { lanes: 'UNPINNED', roles: 'UNPINNED' }
