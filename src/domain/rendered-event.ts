import { invariant } from '../errors.ts'
import { sorted } from '../kernel/canonical.ts'
import type { Entry } from '../kernel/entry.ts'
import { given } from '../kernel/given.ts'
import { ownMember } from '../kernel/ids.ts'
import { type Rendering, type Source, shortened } from '../kernel/rendering.ts'
import { aggregateOfEvent, aggregates } from './aggregates.ts'
import type { AuditEvent } from './audit/audit-event.ts'
import type { RefusalsCounted } from './audit/events.ts'
import type { EventType } from './event-schemas.ts'

/** A row for every event type; `contract/v1/rendering.yaml` is generated from it. */
export const renderings: Readonly<Record<EventType, Rendering>> = Object.assign(
  {},
  ...aggregates.map(({ rendering }) => rendering),
)

/** The row of an event type. Every type has a row before it is written, so a missing row is a defect. */
export function renderingOf(type: string): Rendering {
  const row = aggregateOfEvent(type).rendering[type]
  invariant(row !== undefined, `the event type ${type} has a rendering`)
  return row
}

/**
 * Renders an entry as a Contract v1 audit event, with members in canonical order, by the table in
 * `contract/v1/rendering.yaml`. An entry whose type has no row is a defect.
 */
export function renderedEvent(entry: Entry): AuditEvent {
  const { actor, case_id, correlation_id, data, lane_id, parent_run_id, role_id, root_run_id, run_id } = entry
  const row = renderingOf(entry.type)
  return canonical({
    ...aggregateOfEvent(entry.type).facts?.(entry),
    // The role of a run stands before the role that the caller states for one call.
    ...given({ case_id, lane_id, role_id: role_id ?? actor.role_id }),
    ...reasonOf(row, data),
    action_type: sourced(row.action_type, data),
    actor: actorOf(actor),
    contract_version: entry.contract_version,
    correlation_id,
    event_id: entry.event_id,
    outcome: sourced(row.outcome, data),
    parent_run_id,
    policy_versions: entry.policy_versions,
    root_run_id,
    run_id,
    sequence: entry.seq,
    severity: sourced(row.severity, data),
    target: targetOf(row, data),
    timestamp_utc: entry.time,
  })
}

/** The action type and outcome of an entry's audit event, without the rest of the rendering. */
export function readAs({ data, type }: Pick<Entry, 'data' | 'type'>): { action_type: string; outcome: string } {
  const row = renderingOf(type)
  return { action_type: sourced(row.action_type, data), outcome: sourced(row.outcome, data) }
}

/** The target of an entry's audit event, without the rest of the rendering. */
export function targetOfEvent({ data, type }: Pick<Entry, 'data' | 'type'>): RefusalsCounted['target'] {
  return targetOf(renderingOf(type), data) as RefusalsCounted['target']
}

type Data = Entry['data']
type Members = { [Member in keyof AuditEvent]?: unknown }

/** The value of a source in the table. */
function sourced(source: Source<string>, data: Data): string {
  if (typeof source === 'string') return source
  const value = data[source.from]
  if (typeof value !== 'string') return source.otherwise ?? ''
  if (source.cases !== undefined) return ownMember(source.cases, value) ?? source.otherwise ?? value
  return value
}

function targetOf({ target }: Rendering, data: Data): unknown {
  if ('from' in target) return data[target.from]
  const { name, operation, target_type } = target
  return { name: sourced(name, data), operation: sourced(operation, data), target_type }
}

function reasonOf({ outcome_reason }: Rendering, data: Data): Members {
  const member = outcome_reason.find((candidate) => typeof data[candidate] === 'string')
  const reason = shortened(String(data[member ?? ''] ?? ''), reasonCharsMax)
  return reason.trim() === '' ? {} : { outcome_reason: reason }
}

/** Ids in the contract have at least three characters. A shorter id is prefixed with its type. */
function actorOf({ actor_id, actor_type, authn, on_behalf_of }: Entry['actor']): unknown {
  const known = authn === undefined ? {} : { authn }
  return { actor_id: actor_id.length < 3 ? `${actor_type}:${actor_id}` : actor_id, actor_type, ...known, on_behalf_of }
}

const reasonCharsMax = 200

/** Sorts members and leaves out absent and null ones. The values were parsed before they were recorded. */
function canonical(members: Members): AuditEvent {
  const present = Object.entries(members).filter(([, value]) => value !== undefined && value !== null)
  return sorted(Object.fromEntries(present) as never) as AuditEvent
}
