import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/policy.ts'

/** Policy: the lanes and roles that govern runs. */
export interface PolicyApi {
  /** The policy in force. */
  show(input?: Nothing, options?: CallOptions): Promise<shapes.PolicyInForce>
  /** Checks the policy files on disk, and shows what a reload would change. Records nothing. */
  check(input?: shapes.CheckPolicy, options?: CallOptions): Promise<shapes.CheckedPolicy>
  /** The decision that an action would get, in a run or for a role outside any run. Records nothing. */
  explain(input: shapes.ExplainInRun | shapes.ExplainForRole, options?: CallOptions): Promise<shapes.PolicyVerdict>
  /**
   * Reads the policy files again, where the policy in force came from, and puts them in force. Another place is read
   * only if `from` names it. Cost: one append, none where they are in force already.
   */
  reload(input?: shapes.ReloadPolicy, options?: CallOptions): Promise<shapes.ReloadedPolicy>
}

export const policy: Operations<PolicyApi> = {
  show: {
    kind: 'query',
    summary: 'Shows the policy in force.',
    input: nothing,
    output: shapes.shown,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  check: {
    kind: 'query',
    summary: 'Checks the policy files on disk, and shows what a reload would change.',
    input: shapes.check,
    output: shapes.checked,
    errors: ['POLICY_INVALID', 'FILE_DENIED', 'FILE_FAILED'],
    grants: anyGrant,
  },
  explain: {
    kind: 'query',
    summary: 'Shows the decision that an action would get.',
    input: { run_id: shapes.explainInRun, role_id: shapes.explainForRole },
    output: shapes.verdict,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  reload: {
    kind: 'command',
    summary: 'Puts the policy files in force.',
    input: shapes.reload,
    output: shapes.reloaded,
    errors: ['POLICY_INVALID', 'POLICY_DENIED', 'FILE_DENIED', 'FILE_FAILED', 'FILE_READ_ONLY'],
    grants: ['authority', 'operator'],
  },
}
