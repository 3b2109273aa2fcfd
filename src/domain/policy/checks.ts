import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { PrivilegedAction, RunKind, RunStatus } from '../../kernel/vocabulary.ts'
import type { Action } from './action.ts'
import { isPin } from './content.ts'
import { isPromotionLane, type Lane, type Policy, standsFor } from './policy.ts'
import { isGiven, isStated } from './stated.ts'

/** The reason of a deny, as one word. */
export type DenyReason =
  | 'not_permitted'
  | 'forbidden'
  | 'missing_scope'
  | 'missing_pin'
  | 'unmediated'
  | 'drift'
  | 'error'

/** A failed check: its rule, and the missing fact, if one was missing. */
export interface Failed {
  reason: DenyReason
  rule: string
  missing?: string
}

/** The facts about a run for the checks: from its row, and the type of the calling actor. */
export interface RunFacts {
  run_id: string
  run_kind: RunKind
  status: RunStatus
  actor_type: 'agent' | 'human' | 'system'
  role_id: string | null
  lane_id: string | null
  case_id: string | null
  /** The artifacts that the run was created with. */
  inputs?: readonly ArtifactRef[] | undefined
  contract_version: string | null
  policy_versions: { lanes: string | null; roles: string | null }
  /** The SHA-256 of the pinned content; null for a run that inherits none and has not started. */
  policy_sha256: { lanes: string; roles: string } | null
}

/** The only kind of run that may do each action (Run Lifecycle, Contract v1, section 5.2). */
export const mediators: Readonly<Record<PrivilegedAction, RunKind>> = {
  tool_call: 'tool_gateway',
  db_write: 'db_write',
  db_read: 'db_read',
  promotion: 'promotion',
  export: 'export',
}

/** Check 1: the run is in the required state, a policy is in force, and the run is pinned to this policy. */
export function* checkRun(run: RunFacts, policy: Policy | undefined, wanted: 'created' | 'running'): Generator<Failed> {
  if (run.status !== wanted) yield { reason: 'not_permitted', rule: `run/${wanted}` }
  if (policy === undefined) yield { reason: 'error', rule: 'policy_unreadable' }
  const { contract_version, policy_sha256, policy_versions } = run
  if (contract_version !== 'v1') yield missingPin('contract_version')
  for (const name of ['lanes', 'roles'] as const) if (!isPin(policy_versions[name])) yield missingPin(name)
  if (policy === undefined || (policy_sha256 === null && wanted === 'created')) return
  const { lanes, roles } = policy.sha256
  if (policy_sha256?.lanes !== lanes || policy_sha256.roles !== roles) yield { reason: 'drift', rule: 'policy_drift' }
}

function missingPin(name: string): Failed {
  return { reason: 'missing_pin', rule: `pin_missing:${name}`, missing: name }
}

/** Check 2: the role exists, and only a human acts in a role of class human. */
export function* checkRole(run: RunFacts, policy: Policy): Generator<Failed> {
  if (run.role_id === null) {
    yield { reason: 'not_permitted', rule: 'run/role', missing: 'role_id' }
    return
  }
  const role = policy.roles.get(run.role_id)
  if (role === undefined) yield { reason: 'not_permitted', rule: `role:${run.role_id}/known` }
  if (role?.class === 'human' && run.actor_type !== 'human') {
    yield { reason: 'not_permitted', rule: `role:${run.role_id}/class` }
  }
}

/** Check 3: the lane exists and is the lane of the run; lane and role name each other, each in its own file. */
export function* checkLane(run: RunFacts, laneId: string | null, policy: Policy): Generator<Failed> {
  if (laneId === null) {
    yield { reason: 'not_permitted', rule: 'run/lane', missing: 'lane_id' }
    return
  }
  const lane = policy.lanes.get(laneId)
  const role = policy.roles.get(run.role_id ?? '')
  if (lane === undefined) yield { reason: 'not_permitted', rule: `lane:${laneId}/known` }
  if (laneId !== run.lane_id) yield { reason: 'not_permitted', rule: 'mediation/lane' }
  if (role !== undefined && !role.privileges.lanes.includes(laneId)) {
    yield { reason: 'not_permitted', rule: `role:${role.role_id}/lanes` }
  }
  if (lane !== undefined && run.role_id !== null && !lane.allowed_callers.roles.includes(run.role_id)) {
    yield { reason: 'not_permitted', rule: `lane:${laneId}/allowed_callers` }
  }
}

/** Check 4: this kind of run may do the action. */
export function* checkMediation(run: RunFacts, { action_type }: Action): Generator<Failed> {
  if (mediators[action_type] !== run.run_kind) yield { reason: 'unmediated', rule: `mediation/${action_type}` }
}

/** Check 5: the lane allows the action, by the name of its target. */
export function* checkAction(lane: Lane, action: Action): Generator<Failed> {
  if (/(?:^|\.)audit_ledger$/i.test(action.target.name)) {
    yield { reason: 'not_permitted', rule: 'target/audit_ledger' }
  }
  if (action.action_type === 'promotion' && !isPromotionLane(lane)) {
    yield { reason: 'not_permitted', rule: `lane:${lane.lane_id}/promotion` }
  }
  // The contract demands audit (Run Lifecycle, Contract v1, section 6), and the ledger records every action.
  if (!lane.audit.required) yield { reason: 'forbidden', rule: `lane:${lane.lane_id}/audit/required` }
  if (!isListed(lane, action)) yield { reason: 'not_permitted', rule: grantOf(lane, action) }
}

/** The rule that decides on an action: the list of the lane that must name its target. */
export function grantOf({ lane_id }: Lane, { action_type }: Action): string {
  const lists = { tool_call: 'tools', export: 'tools', db_write: 'writes', promotion: 'writes', db_read: 'reads' }
  return `lane:${lane_id}/${lists[action_type]}`
}

function isListed({ allowed_actions }: Lane, { action_type, target }: Action): boolean {
  const { reads = [], tools = [], writes = [] } = allowed_actions
  switch (action_type) {
    case 'tool_call':
      return tools.some((tool) => standsFor(tool, target.name))
    case 'export':
      // A name such as `export*` is no grant of exports.
      return tools.some((tool) => tool.startsWith('export_bundle.') && standsFor(tool, target.name))
    case 'db_read':
      return reads.includes(target.name)
    case 'db_write':
    case 'promotion':
      return writes.some(({ mode, table }) => standsFor(table, target.name) && mode === target.mode)
  }
}

/** Check 6: all facts that the lane requires are stated, and the stated run and case are those of the run. */
export function* checkScope(run: RunFacts, lane: Lane, action: Action): Generator<Failed> {
  const { scope } = action
  const required = new Set(lane.scope.requires)
  if (action.action_type === 'promotion') required.add('promotion_ticket_id')
  for (const key of required) {
    if (!isStated(scope, key)) {
      yield { reason: 'missing_scope', rule: `lane:${lane.lane_id}/requires/${key}`, missing: key }
    }
  }
  if (isGiven(scope, 'run_id') && scope.run_id !== run.run_id) {
    yield { reason: 'missing_scope', rule: 'scope/run_id', missing: 'run_id' }
  }
  const mayCross = lane.scope.allows?.includes('cross_case_lookup') ?? false
  if (isGiven(scope, 'case_id') && scope.case_id !== run.case_id && !mayCross) {
    yield { reason: 'missing_scope', rule: 'scope/case_id', missing: 'case_id' }
  }
}
