import { type Config, mayClaim } from '../../kernel/config.ts'
import type { LoadedRows } from '../../kernel/decider.ts'
import type { Actor } from '../../kernel/ids.ts'
import { brokenApprovals } from '../approval/judge.ts'
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

interface Asked {
  caller: Actor
  config: Config
  /** The policy that the run is pinned to, if it is another one than that in force. */
  pinned: Policy | undefined
  policy: Policy | undefined
  /** The rows of the approvals that the action names. */
  rows: LoadedRows
  run: RunState
  /** The time of the decision, by the clock of the ledger. */
  time: string
}

/** The verdict of the policy and of the configuration about an action that a caller requests in a run. */
export function verdictOn(action: Action, asked: Asked): PolicyVerdict {
  const { caller, config, policy, pinned = policy, run, ...ground } = asked
  const lane = pinned?.lanes.get(run.lane_id ?? '')
  if (hasFreeText(action, lane)) {
    // The other rules could repeat the text.
    const rule_ids = [freeTextRule(lane)]
    return { decision: 'deny', reason: 'forbidden', rule_ids, missing: [], pins: versionsOf(run.pins) }
  }
  const facts = factsOfPinned(run, caller.actor_type)
  const unbound = unboundRole(run, config, caller.actor_id)
  const exporters = [caller, run.manifest.actor]
  const unapproved = brokenApprovals(action, { config, exporters, ...ground })
  return withMore(authorize({ action, pinned, policy, run: facts }), [...unbound, ...unapproved])
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
