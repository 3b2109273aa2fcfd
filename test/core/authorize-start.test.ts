import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { authorizeStart } from '../../src/domain/policy/authorize.ts'
import type { RunFacts } from '../../src/domain/policy/checks.ts'
import { runKinds, runStatuses } from '../../src/kernel/vocabulary.ts'
import { laneTable, roleTable } from '../support/policy-tables.ts'
import { type Expected, grantsOf, policy, verdictOf } from './questions.ts'

const test = suite('authorizeStart')
const roles = Object.keys(roleTable) as (keyof typeof roleTable)[]
const kinds = runKinds.filter((kind) => kind !== 'orchestrator')
const pin = '0123456789abcdef0123456789abcdef01234567'

/** A run that was created and is pinned; a top one inherits nothing. */
function created(change: Partial<RunFacts>): RunFacts {
  return {
    run_id: 'run_0001',
    run_kind: 'agent',
    status: 'created',
    actor_type: 'agent',
    role_id: null,
    lane_id: null,
    case_id: 'CASE-17',
    contract_version: 'v1',
    policy_versions: { lanes: pin, roles: pin },
    policy_sha256: null,
    ...change,
  }
}

/** The verdict on a start: an allow grants no action, so it has no rule. */
function expected(failures: Expected[]) {
  const verdict = verdictOf(failures, '')
  return failures.length === 0 ? { ...verdict, rule_ids: [] } : verdict
}

/** What is wrong with a run of any lane and role, and the one failure that it adds. */
const faults: [change: Partial<RunFacts>, failure: Expected][] = [
  ...runStatuses
    .filter((status) => status !== 'created')
    .map((status): [Partial<RunFacts>, Expected] => [{ status }, [1, 'not_permitted', 'run/created']]),
  [{ contract_version: null }, [1, 'missing_pin', 'pin_missing:contract_version', 'contract_version']],
  [{ contract_version: 'v2' }, [1, 'missing_pin', 'pin_missing:contract_version', 'contract_version']],
  [{ policy_versions: { lanes: null, roles: pin } }, [1, 'missing_pin', 'pin_missing:lanes', 'lanes']],
  [{ policy_versions: { lanes: pin, roles: 'UNPINNED' } }, [1, 'missing_pin', 'pin_missing:roles', 'roles']],
  [{ policy_sha256: { lanes: 'other', roles: policy.sha256.roles } }, [1, 'drift', 'policy_drift']],
  [{ policy_sha256: { lanes: policy.sha256.lanes, roles: 'other' } }, [1, 'drift', 'policy_drift']],
]

for (const row of laneTable) {
  for (const role of roles) {
    const run = created({ actor_type: roleTable[role], lane_id: row.lane, role_id: role })
    const grants = grantsOf(row, role)
    test(`${role} in ${row.lane}: a run of any kind ${grants.length === 0 ? 'starts' : 'is denied'}`, () => {
      for (const run_kind of kinds) {
        assert.equal(authorizeStart({ policy, run: { ...run, run_kind } }), expected(grants), run_kind)
      }
    })
    test(`${role} in ${row.lane}: without a case`, () => {
      const needsCase: Expected[] = [[6, 'missing_scope', `lane:${row.lane}/requires/case_id`, 'case_id']]
      const failures = row.requires.includes('case_id') ? [...grants, ...needsCase] : grants
      assert.equal(authorizeStart({ policy, run: { ...run, case_id: null } }), expected(failures))
    })
    test(`${role} in ${row.lane}: each fault at a start`, () => {
      for (const [change, failure] of faults) {
        const verdict = authorizeStart({ policy, run: { ...run, ...change } })
        const { pins: _, ...others } = expected([failure, ...grants])
        assert.equal({ ...verdict, pins: undefined }, { ...others, pins: undefined }, JSON.stringify(change))
      }
    })
  }
}

test('a child that inherits the policy in force starts', () => {
  const run = created({ lane_id: 'WRITE_MAPPING_OUTPUTS', role_id: 'MAPPING_AGENT', policy_sha256: policy.sha256 })
  assert.equal(authorizeStart({ policy, run }), expected([]))
})

for (const [title, run, failures] of [
  ['an orchestrator needs neither lane nor role', created({ run_kind: 'orchestrator' }), []],
  ['an orchestrator may name a role', created({ run_kind: 'orchestrator', role_id: 'SYSTEM' }), []],
  [
    'an orchestrator names a role that is not there',
    created({ run_kind: 'orchestrator', role_id: 'GHOST' }),
    [[2, 'not_permitted', 'role:GHOST/known']],
  ],
  [
    'an orchestrator that is no human names a human’s role',
    created({ run_kind: 'orchestrator', role_id: 'ATTORNEY_ADMIN' }),
    [[2, 'not_permitted', 'role:ATTORNEY_ADMIN/class']],
  ],
  [
    'any other kind needs a lane and a role',
    created({}),
    [
      [2, 'not_permitted', 'run/role', 'role_id'],
      [3, 'not_permitted', 'run/lane', 'lane_id'],
    ],
  ],
  ['any other kind needs a lane', created({ role_id: 'MAPPING_AGENT' }), [[3, 'not_permitted', 'run/lane', 'lane_id']]],
  [
    'a lane that is not there',
    created({ role_id: 'MAPPING_AGENT', lane_id: 'GHOST' }),
    [
      [3, 'not_permitted', 'lane:GHOST/known'],
      [3, 'not_permitted', 'role:MAPPING_AGENT/lanes'],
    ],
  ],
  [
    'a human’s role for an agent',
    created({ role_id: 'ATTORNEY_ADMIN', lane_id: 'EXPORT_CASE_DATA' }),
    [[2, 'not_permitted', 'role:ATTORNEY_ADMIN/class']],
  ],
] as [string, RunFacts, Expected[]][]) {
  test(title, () => assert.equal(authorizeStart({ policy, run }), expected(failures)))
}

test('without a policy nothing starts, not even an orchestrator', () => {
  for (const run_kind of runKinds) {
    const verdict = authorizeStart({ policy: undefined, run: created({ run_kind }) })
    assert.equal(verdict, expected([[1, 'error', 'policy_unreadable']]), run_kind)
  }
})

test('without pins nothing starts, and UNPINNED stands in their place', () => {
  const run = created({
    run_kind: 'orchestrator',
    policy_versions: { lanes: null, roles: 'main' },
    contract_version: null,
  })
  assert.equal(authorizeStart({ policy: undefined, run }), {
    decision: 'deny',
    reason: 'error',
    rule_ids: ['policy_unreadable', 'pin_missing:contract_version', 'pin_missing:lanes', 'pin_missing:roles'],
    missing: ['contract_version', 'lanes', 'roles'],
    pins: { lanes: 'UNPINNED', roles: 'UNPINNED' },
  })
})

test.run()
