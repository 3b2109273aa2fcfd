import type { AuditEvent } from '../domain/audit/audit-event.ts'
import type { Entry } from '../kernel/entry.ts'
import { wallTimeOf } from '../kernel/entry-time.ts'
import { timeText } from './output.ts'

/** An event on one line, for people. */
export function eventLine(entry: Entry, event: AuditEvent): string {
  const { action_type, actor, outcome, outcome_reason, sequence, stated, target } = event
  const what = target ? `${target.operation ?? action_type} ${target.target_type}:${target.name}` : action_type
  const why = outcome_reason ? `  ${JSON.stringify(outcome_reason)}` : ''
  return `${sequence}  ${timeText(wallTimeOf(entry))}  ${actor.actor_id}  ${what}  ${stated ? 'stated ' : ''}${outcome}${why}`
}

/** Fields that a line for people omits: the line shows them elsewhere, or only programs need them. */
const left = new Set(['acquired', 'by', 'deliverable_id', 'expires_at', 'host_id', 'kind', 'lock_ref', 'name', 'token'])

/** An entry on one line, for people. */
export function entryLine(entry: Entry): string {
  const isShown = ([key, value]: [string, unknown]) => !left.has(key) && value !== null && typeof value !== 'object'
  const facts = Object.entries(entry.data).filter(isShown)
  const text = facts
    .map(([key, value]) => `${key}=${/\s/.test(String(value)) ? JSON.stringify(value) : value}`)
    .join(' ')
  return `${entry.seq}  ${timeText(wallTimeOf(entry))}  ${entry.actor.actor_id}  ${entry.type}  ${entry.stream}  ${text}`
}
