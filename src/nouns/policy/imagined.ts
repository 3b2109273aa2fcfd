import type { Action } from '../../domain/policy/action.ts'
import { authorize, type PolicyVerdict } from '../../domain/policy/authorize.ts'
import type { RunFacts } from '../../domain/policy/checks.ts'
import type { Policy } from '../../domain/policy/policy.ts'
import type { PolicyState } from '../../domain/policy/state.ts'
import { freeTextRule, hasFreeText } from '../../domain/run/free-text.ts'

/** A hypothetical run: running, in the action's lane, pinned to the policy in force. */
export function imagined(
  asked: Pick<RunFacts, 'actor_type' | 'run_kind'> & { case_id?: string | undefined; role_id: string },
  { lane_id, scope }: Action,
  state: PolicyState | undefined,
): RunFacts {
  const { actor_type, case_id = null, role_id, run_kind } = asked
  return {
    run_id: typeof scope.run_id === 'string' ? scope.run_id : 'run_imagined',
    run_kind,
    status: 'running',
    actor_type,
    role_id,
    lane_id,
    case_id,
    contract_version: 'v1',
    policy_versions: { lanes: state?.lanes.pin ?? null, roles: state?.roles.pin ?? null },
    policy_sha256: state === undefined ? null : { lanes: state.lanes.sha256, roles: state.roles.sha256 },
  }
}

/** A pin that stands for a policy that is in force nowhere. */
export function imaginedState({ lanes, roles }: Policy['sha256']): PolicyState {
  const pin = { pin: '0'.repeat(40), source: 'git-blob' as const }
  return { lanes: { ...pin, sha256: lanes }, roles: { ...pin, sha256: roles }, seq: 0 }
}

/** The verdict of a policy that is not in force. As in a run, free text that the lane prohibits is denied first. */
export function imaginedVerdict(action: Action, policy: Policy, run: RunFacts): PolicyVerdict {
  const verdict = authorize({ action, policy, run })
  const lane = policy.lanes.get(run.lane_id ?? '')
  if (!hasFreeText(action, lane)) return verdict
  return { ...verdict, decision: 'deny', reason: 'forbidden', rule_ids: [freeTextRule(lane)], missing: [] }
}
