import type { Action } from '../action.ts'
import { authorize, type RunFacts, type Verdict } from '../authorize.ts'
import { type Config, mayClaim } from '../config.ts'
import { missingApprovals } from '../export-approvals.ts'
import type { Actor } from '../ids.ts'
import type { Policy } from '../policies.ts'
import type { Pins } from './events.ts'
import type { RunState } from './state.ts'

/** The pins that a run would start with, null in the place of one that is missing or malformed. */
export interface FoundPins {
  lanes: Pins['lanes'] | null
  roles: Pins['roles'] | null
}

/** The facts of a run that the checks are made on. */
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
    contract_version: contractVersion,
    policy_versions: { lanes: pins.lanes?.pin ?? null, roles: pins.roles?.pin ?? null },
    policy_sha256: inherited && { lanes: inherited.lanes.sha256, roles: inherited.roles.sha256 },
  }
}

/** What is said of an action in a run that is asked for by a caller: by the policy, and by the configuration. */
export function verdictOn(
  action: Action,
  { caller, config, policy, run }: { caller: Actor; config: Config; policy: Policy | undefined; run: RunState },
): Verdict {
  const pins = run.pins ?? { lanes: null, roles: null }
  const facts = factsOf(run, caller.actor_type, { pins, inherited: run.pins })
  const unbound = unboundRole(run, config, caller.actor_id)
  return withMore(authorize({ action, policy, run: facts }), [...unbound, ...unapproved(action, config)])
}

/** Rules of the configuration that an export lacks an approval by. */
export function unapproved(action: Action, config: Config): string[] {
  return missingApprovals(action, config).map((type) => `config:exports/approvals_required/${type}`)
}

/**
 * The role of a run that its actor may not claim, by the configuration, or who else acts in the run: who made it for
 * another has no more rights in it than his own.
 */
export function unboundRole({ manifest: { actor } }: RunState, config: Config, callerId = actor.actor_id): string[] {
  const { actor_id, role_id } = actor
  if (role_id === undefined || [actor_id, callerId].every((id) => mayClaim(config, id, role_id))) return []
  return [`role:${role_id}/actors`]
}

/** A verdict with further rules that failed: not_permitted, where nothing failed before. */
export function withMore(verdict: Verdict, rules: readonly string[]): Verdict {
  if (rules.length === 0) return verdict
  const { decision, reason, rule_ids } = verdict
  const failed = decision === 'deny' ? rule_ids : []
  return { ...verdict, decision: 'deny', reason: reason ?? 'not_permitted', rule_ids: [...failed, ...rules] }
}
