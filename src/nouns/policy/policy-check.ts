import type * as shapes from '../../api/shapes/policy.ts'
import type { Layout } from '../../disk/layout.ts'
import { policyChanges } from '../../domain/policy/changes.ts'
import type { Policy } from '../../domain/policy/policy.ts'
import { type PolicyState, policyKey, policyKeyOf } from '../../domain/policy/state.ts'
import { readPolicy } from '../../files/policy/policy-file.ts'
import { policyFiles } from '../../files/policy/policy-files.ts'
import { otherPolicyFiles, type PolicyPlace } from '../../files/policy/policy-folder.ts'

/** What a reload would do: the files of a place, compared with the policy in force. Errors: POLICY_INVALID, FILE_DENIED. */
export function checkedPolicy(
  layout: Layout,
  of: {
    inForce: Policy | undefined
    place: PolicyPlace | undefined
    promotionRoles: readonly string[]
    state: PolicyState | undefined
  },
): shapes.CheckedPolicy {
  const files = policyFiles(layout, of.place)
  const found = {
    files: { lanes: files.lanes.file, roles: files.roles.file },
    other_files: otherPolicyFiles(layout, of.place),
  }
  const read = readPolicy(files, of.promotionRoles)
  if ('problems' in read) {
    const { problems } = read
    return { ...found, changes: [], findings: [], in_force: false, loadable: false, problems, sha256: null }
  }
  const { findings, policy } = read
  return {
    ...found,
    changes: policyChanges(of.inForce, policy),
    findings,
    in_force: of.state !== undefined && policyKeyOf(of.state) === policyKey(policy.sha256),
    loadable: true,
    problems: [],
    sha256: policy.sha256,
  }
}
