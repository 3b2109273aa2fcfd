import { type Config, mayClaim } from '../../kernel/config.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { ApprovalType } from '../../kernel/vocabulary.ts'
import type { Action } from '../policy/action.ts'
import { authorize, type PolicyVerdict } from '../policy/authorize.ts'
import type { DenyReason, RunFacts } from '../policy/checks.ts'
import type { Policy } from '../policy/policy.ts'
import type { CreateRun } from './commands.ts'
import type { Pins } from './events.ts'
import { freeTextRule, hasFreeText } from './free-text.ts'
import { type RunState, versionsOf } from './state.ts'

/** The pins that a run would start with. A missing or malformed pin is null. */
export interface FoundPins {
  lanes: Pins['lanes'] | null
  roles: Pins['roles'] | null
}

/** The facts about a run that the checks use. */
export function factsOf(
  run: RunState,
  actor_type: RunFacts['actor_type'],
  {
    pins,
    inherited,
    contractVersion = 'v1',
  }: { pins: FoundPins; inherited: Pins | null; contractVersion?: string | null | undefined },
): RunFacts {
  return {
    run_id: run.run_id,
    run_kind: run.manifest.run_kind,
    status: run.status,
    actor_type,
    role_id: run.manifest.actor.role_id ?? null,
    lane_id: run.lane_id,
    case_id: run.case_id,
    inputs: run.manifest.inputs?.artifact_refs,
    contract_version: contractVersion,
    policy_versions: { lanes: pins.lanes?.pin ?? null, roles: pins.roles?.pin ?? null },
    policy_sha256: inherited && { lanes: inherited.lanes.sha256, roles: inherited.roles.sha256 },
  }
}

/** The facts about a run that is to be created. */
export function factsOfNew(
  { inputs, role_id, run_actor, run_kind }: CreateRun,
  { case_id, lane_id, run_id }: { case_id: string | null; lane_id: string | null; run_id: string },
  pins: Pins | null,
): RunFacts {
  return {
    run_id,
    run_kind,
    status: 'created',
    actor_type: run_actor.actor_type,
    role_id: role_id ?? null,
    lane_id,
    case_id,
    inputs: inputs?.artifact_refs,
    contract_version: 'v1',
    policy_versions: { lanes: pins?.lanes.pin ?? null, roles: pins?.roles.pin ?? null },
    policy_sha256: pins && { lanes: pins.lanes.sha256, roles: pins.roles.sha256 },
  }
}

/** The facts about a run with the pins that it has. */
export function factsOfPinned(run: RunState, actor_type: RunFacts['actor_type']): RunFacts {
  return factsOf(run, actor_type, { pins: run.pins ?? { lanes: null, roles: null }, inherited: run.pins })
}

/** The verdict of the policy and of the configuration about an action that a caller requests in a run. */
export function verdictOn(
  action: Action,
  {
    caller,
    config,
    ...policies
  }: {
    caller: Actor
    config: Config
    pinned: Policy | undefined
    policy: Policy | undefined
    run: RunState
  },
): PolicyVerdict {
  const { run } = policies
  const facts = factsOfPinned(run, caller.actor_type)
  const { pinned = policies.policy } = policies
  if (hasFreeText(action, pinned?.lanes.get(run.lane_id ?? ''))) {
    // The other rules could repeat the text.
    const rule_ids = [freeTextRule(run.lane_id)]
    return { decision: 'deny', reason: 'forbidden', rule_ids, missing: [], pins: versionsOf(run.pins) }
  }
  const unbound = unboundRole(run, config, caller.actor_id)
  return withMore(authorize({ ...policies, action, run: facts }), [...unbound, ...unapproved(action, config)])
}

/** The rules of the configuration whose approval the scope of an export does not name. */
export function unapproved({ action_type, scope }: Action, { exports }: Config): string[] {
  if (action_type !== 'export') return []
  const missing = exports.approvals_required.filter((type) => String(scope[approvalKey(type)] ?? '').trim() === '')
  return missing.map((type) => `config:exports/approvals_required/${type}`)
}

/** The member of an export's scope that names the approval event. */
export function approvalKey(type: ApprovalType): string {
  return `approval_${type}`
}

/**
 * The rule that fails if, by the configuration, the run's actor or the calling actor may not have the role of the run.
 * Creating a run for another actor gives no extra roles.
 */
export function unboundRole({ manifest: { actor } }: RunState, config: Config, callerId = actor.actor_id): string[] {
  const { actor_id, role_id } = actor
  if (role_id === undefined || [actor_id, callerId].every((id) => mayClaim(config, id, role_id))) return []
  return [`role:${role_id}/actors`]
}

/** A verdict with further failed rules. Their reason counts if nothing failed before. */
export function withMore(
  verdict: PolicyVerdict,
  rules: readonly string[],
  ofRules: DenyReason = 'not_permitted',
): PolicyVerdict {
  if (rules.length === 0) return verdict
  const { decision, reason, rule_ids } = verdict
  const failed = decision === 'deny' ? rule_ids : []
  return { ...verdict, decision: 'deny', reason: reason ?? ofRules, rule_ids: [...failed, ...rules] }
}
