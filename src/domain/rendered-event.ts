import { cut, sorted } from '../kernel/canonical.ts'
import type { Entry } from '../kernel/entry.ts'
import { ownMember } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { AuditEvent } from './audit/audit-event.ts'
import { type Rendering, renderingOf, type Source } from './rendering.ts'
import { statusAfter } from './run/state.ts'

/**
 * Renders an entry as a Contract v1 audit event, with members in canonical order, by the table in
 * `contract/v1/rendering.yaml`. An entry whose type has no row is a defect.
 */
export function renderedEvent(entry: Entry): AuditEvent {
  const { actor, case_id, correlation_id, data, lane_id, parent_run_id, root_run_id, run_id } = entry
  const row = renderingOf(entry.type)
  return canonical({
    ...factsOf(entry),
    ...reasonOf(row, data),
    action_type: sourced(row.action_type, data),
    actor: actorOf(actor),
    case_id,
    contract_version: entry.contract_version,
    correlation_id,
    event_id: entry.event_id,
    lane_id,
    outcome: sourced(row.outcome, data),
    parent_run_id,
    policy_versions: entry.policy_versions,
    role_id: actor.role_id,
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
function actorOf({ actor_id, actor_type, on_behalf_of }: Entry['actor']): unknown {
  return { actor_id: actor_id.length < 3 ? `${actor_type}:${actor_id}` : actor_id, actor_type, on_behalf_of }
}

/**
 * Members that only some types have: those that audit events have under the same name, and the facts in events of runs.
 */
function factsOf({ data, event_id, policy_versions, type }: Entry): Members {
  switch (type) {
    case 'audit.recorded': {
      const { corrects, notes, request_hash_sha256, response_hash_sha256 } = data
      return { corrects, notes, request_hash_sha256, response_hash_sha256 }
    }
    case 'run.created':
      return { input_artifacts: refsIn(data.inputs), notes: data.notes, transition: { from: null, to: 'created' } }
    case 'run.decided': {
      const [rule] = data.rule_ids as string[]
      const authz = {
        decision: data.decision,
        policy_ref: `lanes@${policy_versions.lanes}`,
        rule_id: rule === undefined ? undefined : shortened(rule, ruleCharsMax),
      }
      return { authz, decision_id: event_id, input_artifacts: data.artifacts }
    }
    case 'run.started':
      return { taxonomy_versions: data.taxonomy_versions, transition: { from: 'created', to: 'running' } }
    case 'run.acted': {
      const { decision_id, error, output_artifacts, request_hash_sha256, response_hash_sha256 } = data
      return { decision_id, error, output_artifacts, request_hash_sha256, response_hash_sha256 }
    }
    case 'run.refused':
      return { transition: data.move }
    case 'run.completed':
    case 'run.failed':
    case 'run.denied':
    case 'run.cancelled': {
      // A run that never started has no duration.
      const transition = { from: data.duration_ms === null ? 'created' : 'running', to: statusAfter[type] }
      return { error: errorOf(data.error), output_artifacts: data.output_artifacts, transition }
    }
    default:
      return {}
  }
}

function refsIn(inputs: unknown): unknown {
  return (inputs as { artifact_refs?: unknown } | null | undefined)?.artifact_refs
}

/** The location of the stack trace is only in the record of the run. */
function errorOf(error: unknown): unknown {
  if (error === null || typeof error !== 'object') return undefined
  const { stack_ref: _, ...rest } = error as Record<string, unknown>
  return rest
}

const reasonCharsMax = 200
/** A code unit takes at most three bytes, so the text fits into a line. */
const ruleCharsMax = Math.floor(limits.nameBytes / 3)

/** Text cut to a number of code units. Cut text has no white space at its end. */
function shortened(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : cut(text, charsMax).trimEnd()
}

/** Sorts members and leaves out absent and null ones. The values were parsed before they were recorded. */
function canonical(members: Members): AuditEvent {
  const present = Object.entries(members).filter(([, value]) => value !== undefined && value !== null)
  return sorted(Object.fromEntries(present) as never) as AuditEvent
}
