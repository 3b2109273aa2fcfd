import { canonicalText, type Json } from '../../kernel/canonical.ts'
import { type Config, mayClaim } from '../../kernel/config.ts'
import type { LoadedRows } from '../../kernel/decider.ts'
import type { EventDraft } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import { folded } from '../../kernel/visible.ts'
import { approvalTypes } from '../../kernel/vocabulary.ts'
import type { AskedExport, Exported } from './exported.ts'
import { type ApprovalState, approvalIn, roleOf, streamOfApproval } from './state.ts'

/** The action whose approvals are judged. */
interface Action {
  action_type: string
  bundle?: AskedExport | undefined
  scope: Readonly<Record<string, unknown>>
  target: { name: string }
}

/** An approval that an export names; undefined if the ledger has none of that id. */
export interface Named {
  approval_id: string
  approval: ApprovalState | undefined
}

/** The facts that a named approval is judged by. */
export interface ExportFacts {
  bundle: Exported
  /** Everybody who takes part in the export: its caller, and the actor of its run. */
  exporters: readonly Actor[]
  /** Whether an actor may have a role now. */
  mayHold: (actorId: string, roleId: string) => boolean
  /** The time of the decision, by the clock of the ledger. */
  time: string
}

/**
 * The rules about approvals that an action breaks. An export needs an approval of every configured type. Each approval
 * that it names is looked up in the loaded rows and must be valid, needed or not. An approval in the scope is a claim
 * and is denied.
 */
export function brokenApprovals(
  action: Action,
  { config, exporters, rows, time }: { config: Config; exporters: readonly Actor[]; rows: LoadedRows; time: string },
): string[] {
  const { bundle, scope } = action
  if (!handsOut(action)) return bundle === undefined ? [] : ['bundle/export']
  const named = (bundle?.approvals ?? []).map((approval_id) => {
    return { approval_id, approval: approvalIn(rows.get(streamOfApproval(approval_id))) }
  })
  const mayHold = (actorId: string, roleId: string) => mayClaim(config, actorId, roleId)
  const types = new Set(named.map(({ approval }) => approval?.approval_type))
  return [
    ...(bundle === undefined ? [] : brokenRules(named, { bundle, exporters, mayHold, time })),
    ...approvalTypes
      .map((type) => `approval_${type}`)
      .flatMap((key) => (Object.hasOwn(scope, key) ? [`scope/${key}`] : [])),
    ...config.exports.approvals_required
      .filter((type) => !types.has(type))
      .map((type) => `config:exports/approvals_required/${type}`),
  ]
}

/**
 * Whether an action hands out what an export hands out, and so needs the same approvals: an export, a call of a tool
 * that makes or delivers bundles, and a write to their table, also one with the name of a schema before it.
 */
function handsOut({ action_type, target }: Action): boolean {
  return action_type === 'export' || /^export_bundle\.(?:create|download)$|(?:^|\.)export_bundles$/i.test(target.name)
}

/** The rules that named approvals break, as `approval:<id>/<rule>`. */
export function brokenRules(named: readonly Named[], facts: ExportFacts): string[] {
  return named.flatMap(({ approval, approval_id }, index) => {
    const others = named.filter((_, at) => at !== index)
    return [...broken(approval, others, facts)].map((rule) => `approval:${approval_id}/${rule}`)
  })
}

/** The rules that one approval breaks: each named for what it demands. */
function* broken(approval: ApprovalState | undefined, others: readonly Named[], facts: ExportFacts): Generator<string> {
  if (approval === undefined) {
    yield 'known'
    return
  }
  const { actor, approval_type, expires_at, used } = approval
  if (used !== null) yield 'unused'
  // After a reset of the clock, an approval can lie in the future. How long it should still last is not known.
  if (expires_at !== null && (facts.time >= expires_at || facts.time < approval.time)) yield 'unexpired'
  for (const member of ['bundle_kind', 'redaction', 'select', 'size'] as const) {
    if (textOf(approval.bundle[member]) !== textOf(facts.bundle[member])) yield member
  }
  if (facts.exporters.some((exporter) => isSamePerson(actor, exporter))) yield 'not_self'
  if (others.some((other) => other.approval !== undefined && isSamePerson(actor, other.approval.actor)))
    yield 'distinct'
  const role = roleOf(approval_type)
  const isHeld = actor.actor_type === 'human' && actor.role_id === role && facts.mayHold(actor.actor_id, role)
  if (!isHeld) yield `role:${role}`
}

/** Whether two actors stand for one person. Ids that look the same, or differ only in letter case, are one person. */
export function isSamePerson(one: Actor, other: Actor): boolean {
  const persons = personsOf(other)
  return personsOf(one).some((person) => persons.includes(person))
}

/** The actor itself, and the person that it acts for. */
function personsOf({ actor_id, on_behalf_of }: Actor): string[] {
  return [actor_id, ...(on_behalf_of === undefined ? [] : [on_behalf_of])].map(folded)
}

/** One text for each value. Absent and null members mean the same. */
function textOf(value: Exported[keyof Exported] | undefined): string {
  if (typeof value !== 'object') return String(value)
  const present = Object.entries(value).filter(([, member]) => member !== undefined && member !== null)
  return canonicalText(Object.fromEntries(present) as Json)
}

/** The events by which an allowed export uses its approvals. */
export function usedEvents({ bundle }: Pick<Action, 'bundle'>, run_id: string): EventDraft[] {
  return (bundle?.approvals ?? []).map((approval_id) => {
    return { type: 'approval.used', stream: streamOfApproval(approval_id), data: { approval_id, run_id } }
  })
}

/** The streams of the approvals that an action names. */
export function approvalStreamsOf({ bundle }: Pick<Action, 'bundle'>): string[] {
  return (bundle?.approvals ?? []).map(streamOfApproval)
}
