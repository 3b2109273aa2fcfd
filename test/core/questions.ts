import type { Action } from '../../src/domain/policy/action.ts'
import type { RunFacts } from '../../src/domain/policy/checks.ts'
import type { Policy } from '../../src/domain/policy/policy.ts'
import type { ArtifactRef } from '../../src/kernel/artifact-ref.ts'
import type { RunKind } from '../../src/kernel/vocabulary.ts'
import { caseWorkPolicy, type LaneRow, roleTable } from '../support/policy-tables.ts'

export const policy = caseWorkPolicy()

export interface Question {
  action: Action
  policy: Policy | undefined
  run: RunFacts
}

/** A failure that is expected: the number of its check in the rulings, its reason, its rule, what is missing. */
export type Expected = [check: number, reason: string, rule: string, missing?: string]

const runKinds: Record<Action['action_type'], RunKind> = {
  tool_call: 'tool_gateway',
  db_write: 'db_write',
  db_read: 'db_read',
  promotion: 'promotion',
  export: 'export',
}
const pin = '0123456789abcdef0123456789abcdef01234567'

/** What a caller states where all is well. */
const stated: Record<string, string | boolean> = {
  case_id: 'CASE-17',
  run_id: 'run_0001',
  client_session_id: 'session-1',
  coa_version: '2026.1',
  promotion_ticket_id: 'PT-1',
  attorney_signoff: true,
  export_reason: 'Ordered by the court.',
  override_ticket_id: 'OT-1',
  override_reason: 'The taxonomy is wrong.',
}

/** An artifact that may reach shared knowledge, with some of its members changed. */
export function sanitized(change: Partial<ArtifactRef> = {}): ArtifactRef {
  const confidentiality = { contains_phi: false, contains_pii: false, contains_privileged: false }
  return { artifact_id: 'art', artifact_kind: 'note', confidentiality, hash_sha256: 'a'.repeat(64), ...change }
}

/** Every action that a row of the table grants; `audit_ledger` stands in the table and is granted to nobody. */
export function actionsOf(row: LaneRow): Action[] {
  const isPromotion = row.requires.includes('promotion_ticket_id')
  const scope = Object.fromEntries(row.requires.map((key) => [key, stated[key] ?? '']))
  const of = (action_type: Action['action_type'], name: string, mode?: string): Action => ({
    action_type,
    lane_id: row.lane,
    scope,
    target: { name, ...(mode === undefined ? {} : { mode }) },
  })
  const shared = (action: Action): Action => ({ ...action, artifacts: [sanitized()] })
  return [
    ...row.tools.map((tool) => of('tool_call', tool)),
    ...row.tools.filter((tool) => tool.startsWith('export_bundle.')).map((tool) => of('export', tool)),
    ...row.writes
      .map(([table, mode]) => of('db_write', table, mode))
      .map((action) => (isPromotion ? shared(action) : action)),
    ...row.writes.filter(() => isPromotion).map(([table, mode]) => shared(of('promotion', table, mode))),
  ].filter(({ target }) => target.name !== 'audit_ledger')
}

/** An action in a run of its kind, lane and case, by an actor whose type fits the role. */
export function questionOf(action: Action, role: keyof typeof roleTable): Question {
  const run: RunFacts = {
    run_id: 'run_0001',
    run_kind: runKinds[action.action_type],
    status: 'running',
    actor_type: roleTable[role],
    role_id: role,
    lane_id: action.lane_id,
    case_id: 'CASE-17',
    contract_version: 'v1',
    policy_versions: { lanes: pin, roles: pin },
    policy_sha256: { ...policy.sha256 },
  }
  return { action, policy, run }
}

/** What the table says of a role in a lane: where they do not belong together, neither file grants it. */
export function grantsOf(row: LaneRow, role: string): Expected[] {
  if (row.roles.includes(role)) return []
  return [
    [3, 'not_permitted', `role:${role}/lanes`],
    [3, 'not_permitted', `lane:${row.lane}/allowed_callers`],
  ]
}

/** The verdict that such failures come to: all are listed, and the first check gives the reason. */
export function verdictOf(failures: Expected[], grant: string) {
  const pins = { lanes: pin, roles: pin }
  const inOrder = failures.toSorted(([one], [other]) => one - other)
  const [first] = inOrder
  if (first === undefined) return { decision: 'allow', reason: null, rule_ids: [grant], missing: [], pins }
  return {
    decision: 'deny',
    reason: first[1],
    rule_ids: inOrder.map(([, , rule]) => rule),
    missing: [...new Set(inOrder.flatMap(([, , , missing]) => missing ?? []))],
    pins,
  }
}

/** The rule that grants an action of the table. */
export function grantRuleOf({ action_type, lane_id }: Action): string {
  return `lane:${lane_id}/${action_type === 'tool_call' || action_type === 'export' ? 'tools' : 'writes'}`
}

/** A question with some facts of its run, or parts of its action, changed. */
export const withRun = (question: Question, change: Partial<RunFacts>): Question => ({
  ...question,
  run: { ...question.run, ...change },
})
export const withAction = (question: Question, change: Partial<Action>): Question => ({
  ...question,
  action: { ...question.action, ...change },
})
export const withScope = ({ action, ...question }: Question, change: Record<string, unknown>): Question => {
  const scope = Object.entries({ ...action.scope, ...change }).filter(([, value]) => value !== undefined)
  return { ...question, action: { ...action, scope: Object.fromEntries(scope) as Action['scope'] } }
}
