import { type Config, mayClaim } from '../../kernel/config.ts'
import type { LoadedRows } from '../../kernel/decider.ts'
import type { Actor } from '../../kernel/ids.ts'
import { brokenApprovals } from '../approval/judge.ts'
import type { Action } from '../policy/action.ts'
import { authorize, type PolicyVerdict } from '../policy/authorize.ts'
import type { RunFacts } from '../policy/checks.ts'
import type { Policy } from '../policy/policy.ts'
import type { Pins } from './events.ts'
import type { RunState } from './state.ts'

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
    contract_version: contractVersion,
    policy_versions: { lanes: pins.lanes?.pin ?? null, roles: pins.roles?.pin ?? null },
    policy_sha256: inherited && { lanes: inherited.lanes.sha256, roles: inherited.roles.sha256 },
  }
}

interface Asked {
  caller: Actor
  config: Config
  policy: Policy | undefined
  /** The rows of the approvals that the action names. */
  rows: LoadedRows
  run: RunState
  /** The time of the decision, by the clock of the ledger. */
  time: string
}

/** The verdict of the policy and of the configuration about an action that a caller requests in a run. */
export function verdictOn(action: Action, { caller, config, policy, run, ...ground }: Asked): PolicyVerdict {
  const pins = run.pins ?? { lanes: null, roles: null }
  const facts = factsOf(run, caller.actor_type, { pins, inherited: run.pins })
  const unbound = unboundRole(run, config, caller.actor_id)
  const exporters = [caller, run.manifest.actor]
  const unapproved = brokenApprovals(action, { config, exporters, ...ground })
  return withMore(authorize({ action, policy, run: facts }), [...unbound, ...unapproved])
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

/** A verdict with further failed rules. The reason is not_permitted if nothing failed before. */
export function withMore(verdict: PolicyVerdict, rules: readonly string[]): PolicyVerdict {
  if (rules.length === 0) return verdict
  const { decision, reason, rule_ids } = verdict
  const failed = decision === 'deny' ? rule_ids : []
  return { ...verdict, decision: 'deny', reason: reason ?? 'not_permitted', rule_ids: [...failed, ...rules] }
}
