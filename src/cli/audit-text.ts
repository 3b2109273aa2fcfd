import type { AuditEvent } from '../domain/audit/audit-event.ts'
import type { Entry } from '../kernel/entry.ts'
import { wallTimeOf } from '../kernel/entry-time.ts'
import { timeText } from './output.ts'

/** The members of an actor that listings show. Records of runs have null where entries have no member. */
type Who = { [Member in 'actor_id' | 'actor_type' | 'authn' | 'on_behalf_of']?: string | null | undefined }

/** The actor as listings name it: what the caller claimed, and in brackets how the caller is known. */
export function whoText({ actor_id, actor_type, authn, on_behalf_of }: Who): string {
  return `${actor_type ? `${actor_type}:` : ''}${wordText(actor_id)} [${authn ?? '-'}]${on_behalf_of ? ` for ${wordText(on_behalf_of)}` : ''}`
}

/** An event on one line, for people: who, what, the outcome and its reason, and under which policy. */
export function eventLine(entry: Entry, event: AuditEvent): string {
  const { action_type, case_id, lane_id, outcome, outcome_reason, role_id, run_id, sequence, stated } = event
  const { authz, policy_versions, target } = event
  // A promotion and a plain write can be the same operation on one table, so the line begins with the type.
  const acts = [action_type, target?.operation].filter((act, at, all) => act !== 'system' && all.indexOf(act) === at)
  const on = target ? [`${target.target_type}:${wordText(target.name)}`] : []
  const what = [...(acts.some(Boolean) ? acts : [action_type]), ...on].filter(Boolean).join(' ')
  const why = outcome_reason ? [JSON.stringify(outcome_reason)] : []
  const under = { lanes: pinText(policy_versions.lanes), roles: pinText(policy_versions.roles) }
  const of = { role: role_id, lane: lane_id, run: run_id, case: case_id, rule: authz?.rule_id, ...under }
  // What the caller stated stands apart, because its names are the caller's own.
  const scope = Object.fromEntries((authz?.scope ?? []).map(({ key, value }) => [key, value]))
  const given = authz?.scope?.length ? [`scope ${factsText(scope)}`] : []
  const place = `${sequence}  ${timeText(wallTimeOf(entry))}  ${whoText(entry.actor)}  ${what}  ${stated ? 'stated ' : ''}${outcome}`
  return [place, ...why, factsText(of), ...given].join('  ')
}

/** A text as one word, so that no claim can be taken for the words of the listing beside it. */
function wordText(text: unknown): string {
  return /^[^\s[\]"]+$/.test(String(text)) ? String(text) : JSON.stringify(text)
}

/** A pin as listings show it. Whole pins are in the document. */
function pinText(pin: string): string {
  return pin.slice(0, pinCharsShown)
}

const pinCharsShown = 12

/** Fields that a line for people omits: the line shows them elsewhere, or only programs need them. */
const left = new Set(['acquired', 'by', 'deliverable_id', 'expires_at', 'host_id', 'kind', 'lock_ref', 'name', 'token'])

/** An entry on one line, for people. */
export function entryLine(entry: Entry): string {
  const { actor, data, seq, stream, type } = entry
  const shown = Object.fromEntries(Object.entries(data).filter(([key]) => !left.has(key)))
  return `${seq}  ${timeText(wallTimeOf(entry))}  ${whoText(actor)}  ${type}  ${wordText(stream)}  ${factsText(shown)}`
}

/** Members with single values as `key=value`. */
function factsText(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .filter(([, value]) => value !== null && value !== undefined && typeof value !== 'object')
    .map(([key, value]) => `${key}=${wordText(value)}`)
    .join(' ')
}
