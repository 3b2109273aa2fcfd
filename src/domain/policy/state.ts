import type { LoadedRows, Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { LoadedFile, PolicyEventData } from './events.ts'
import type { Policy } from './policy.ts'

/** A ledger has one policy, so there is one stream. */
export const policyStream = 'policy'

/** The facts of a pin: the SHA, its source, and the SHA-256 of the content that it stands for. */
export type LoadedPin = Pick<LoadedFile, 'pin' | 'sha256' | 'source'>

/** The policy in force: its pins, and the entry that loaded it. */
export interface PolicyState {
  lanes: LoadedPin
  roles: LoadedPin
  seq: number
}

/** Returns the next state. It applies the event without checking it. */
export function evolve(state: PolicyState | null | undefined, entry: Entry): PolicyState | null {
  if (entry.type !== 'policy.loaded') return state ?? null
  const { lanes, roles } = entry.data as PolicyEventData<'policy.loaded'>
  return { lanes: pinOf(lanes), roles: pinOf(roles), seq: entry.seq }
}

function pinOf({ pin, sha256, source }: LoadedFile): LoadedPin {
  return { pin, sha256, source }
}

/** The policies that were read, keyed by the hashes of their content. */
export type Policies = ReadonlyMap<string, Policy>

export function policyKey({ lanes, roles }: Policy['sha256']): string {
  return `${lanes} ${roles}`
}

/** The key of the policy that a state names. */
export function policyKeyOf({ lanes, roles }: PolicyState): string {
  return policyKey({ lanes: lanes.sha256, roles: roles.sha256 })
}

/** The policy in force at a decision: its pins, and the policy itself if it could be read. */
export interface PolicyInForce {
  loaded: PolicyState | undefined
  policy: Policy | undefined
}

/**
 * The policy that the pins of a run name; undefined if it could not be read. Events of a run are judged by it, whatever
 * is in force by then.
 */
export function policyPinnedBy(
  { lanes, roles }: { lanes: Pick<LoadedPin, 'sha256'>; roles: Pick<LoadedPin, 'sha256'> },
  policies: Policies,
): Policy | undefined {
  return policies.get(policyKey({ lanes: lanes.sha256, roles: roles.sha256 }))
}

export function policyInForce(rows: LoadedRows, policies: Policies): PolicyInForce {
  const loaded = stateIn(rows.get(policyStream))
  if (loaded === undefined) return { loaded, policy: undefined }
  return { loaded, policy: policies.get(policyKeyOf(loaded)) }
}

/** The pins of an entry outside any run; undefined if no policy is loaded. */
export function pinsInForce(row: Row | undefined): Entry['policy_versions'] | undefined {
  const loaded = stateIn(row)
  return loaded && { lanes: loaded.lanes.pin, roles: loaded.roles.pin }
}

/** The state of the policy's row; undefined before a policy was loaded. */
export function stateIn(row: Row | undefined): PolicyState | undefined {
  return (row?.state ?? undefined) as PolicyState | undefined
}
