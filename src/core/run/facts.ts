import type { RunFacts, Verdict } from '../authorize.ts'
import { type Config, mayClaim } from '../config.ts'
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

/** The facts of a run for an action in it, asked for by an actor of some type. */
export function actionFacts(run: RunState, actor_type: RunFacts['actor_type']): RunFacts {
  return factsOf(run, actor_type, { pins: run.pins ?? { lanes: null, roles: null }, inherited: run.pins })
}

/** The role that a run's actor may not claim, by the configuration. */
export function unboundRole({ manifest: { actor } }: RunState, config: Config): string[] {
  const { actor_id, role_id } = actor
  return role_id === undefined || mayClaim(config, actor_id, role_id) ? [] : [`role:${role_id}/actors`]
}

/** A verdict with further rules that failed: not_permitted, where nothing failed before. */
export function withMore(verdict: Verdict, rules: readonly string[]): Verdict {
  if (rules.length === 0) return verdict
  const { decision, reason, rule_ids } = verdict
  const failed = decision === 'deny' ? rule_ids : []
  return { ...verdict, decision: 'deny', reason: reason ?? 'not_permitted', rule_ids: [...failed, ...rules] }
}
