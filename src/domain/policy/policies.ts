import type { LoadedRows, Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { policyStream } from './decide.ts'
import type { Policy } from './policy.ts'
import type { PolicyState } from './state.ts'

export { isPin } from './content.ts'
export { policyStream } from './decide.ts'
export type { Lane, Policy } from './policy.ts'
export type { PolicyState } from './state.ts'

/** The policies that were read, keyed by the hashes of their content. */
export type Policies = ReadonlyMap<string, Policy>

export function policyKey({ lanes, roles }: Policy['sha256']): string {
  return `${lanes} ${roles}`
}

/** The policy in force at a decision: its pins, and the policy itself if it could be read. */
export interface PolicyInForce {
  loaded: PolicyState | undefined
  policy: Policy | undefined
}

export function policyInForce(rows: LoadedRows, policies: Policies): PolicyInForce {
  const loaded = (rows.get(policyStream)?.state ?? undefined) as PolicyState | undefined
  if (loaded === undefined) return { loaded, policy: undefined }
  return { loaded, policy: policies.get(policyKey({ lanes: loaded.lanes.sha256, roles: loaded.roles.sha256 })) }
}

export type Pins = Entry['policy_versions']

/** The pins of an entry outside any run; undefined if no policy is loaded. */
export function pinsInForce(row: Row | undefined): Pins | undefined {
  const loaded = (row?.state ?? undefined) as PolicyState | undefined
  return loaded && { lanes: loaded.lanes.pin, roles: loaded.roles.pin }
}
