import type { Action } from '../../domain/policy/action.ts'
import type { RunFacts } from '../../domain/policy/checks.ts'
import type { PolicyState } from '../../domain/policy/state.ts'

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
