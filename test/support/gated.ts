import type { Test } from 'uvu'
import type { Lane, Role } from '../../src/domain/policy/policy.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { temporaryRoot, testActor } from './ledger.ts'
import { asPlainError, put } from './scene.ts'

/** The two policy files, as their values. JSON is YAML, so a test need not write YAML. */
export interface PolicyTexts {
  lanes: readonly Lane[]
  roles: readonly Role[]
}

export const operator = { actor_id: 'BECCA', actor_type: 'human' } as const

/** A lane with nothing in it but what is given. */
export function lane(
  lane_id: string,
  of: Partial<Lane['scope']> & Lane['allowed_actions'] & { open?: string[] },
): Lane {
  const { allows, open = ['GOVERNANCE_AGENT'], prohibits = [], requires = [], ...allowed_actions } = of
  return {
    lane_id,
    purpose: 'Made for a test.',
    allowed_callers: { roles: open },
    allowed_actions,
    scope: { requires, prohibits, ...(allows === undefined ? {} : { allows }) },
    audit: { required: true, level: 'full' },
  }
}

export function role(role_id: string, lanes: string[], of: Role['class'] = 'agent'): Role {
  return { role_id, description: 'Made for a test.', class: of, privileges: { lanes } }
}

/** Writes the two policy files of a root. */
export function putPolicy(root: string, { lanes, roles }: PolicyTexts): void {
  put(root, 'contract/v1/policy/lanes.yaml', JSON.stringify({ contract_version: 'v1', lanes }))
  put(root, 'contract/v1/policy/roles.yaml', JSON.stringify({ contract_version: 'v1', roles }))
}

/** Work on a ledger in memory under a policy; then the ledger is verified and closed. */
export async function underPolicy(
  policy: PolicyTexts,
  work: (ledger: LocalLedger, root: string) => Promise<void>,
): Promise<void> {
  const dir = temporaryRoot()
  putPolicy(dir, policy)
  const ledger = await openLedger({ actor: testActor, dir, engine: 'memory', self_check: true }).catch(asPlainError)
  try {
    await work(ledger, dir).catch(asPlainError)
    await ledger.log.verify()
  } finally {
    await ledger.close()
  }
}

/** Tests under a policy, each on a ledger of its own. */
export function gatedBy(on: Test, policy: PolicyTexts) {
  return (title: string, work: (ledger: LocalLedger, root: string) => Promise<void>) =>
    on(title, () => underPolicy(policy, work))
}
