import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Action, actionSchema } from '../../src/domain/policy/action.ts'
import { authorize } from '../../src/domain/policy/authorize.ts'
import type { ArtifactRef } from '../../src/kernel/artifact-ref.ts'
import { privilegedActions, runKinds, runStatuses } from '../../src/kernel/vocabulary.ts'
import { type LaneRow, laneTable, roleTable } from '../support/policy-tables.ts'
import { inside, outside } from './destinations.ts'
import {
  actionsOf,
  type Expected,
  grantRuleOf,
  grantsOf,
  policy,
  type Question,
  questionOf,
  sanitized,
  verdictOf,
  withAction,
  withRun,
  withScope,
} from './questions.ts'

const test = suite('authorize')
const roles = Object.keys(roleTable) as (keyof typeof roleTable)[]

/** For every role in the lane of a row, and every action that the row grants: the verdict is the table's. */
function holds(
  title: string,
  change: (question: Question, row: LaneRow) => Question | undefined,
  failures: (row: LaneRow, role: keyof typeof roleTable, question: Question) => Expected[],
): void {
  for (const row of laneTable) {
    const questions = actionsOf(row).flatMap((action) =>
      roles.flatMap((role) => {
        const question = change(questionOf(action, role), row)
        return question === undefined ? [] : [{ question, role }]
      }),
    )
    if (questions.length === 0) continue
    test(`${row.lane}, each role: ${title}`, () => {
      for (const { question, role } of questions) {
        const { action } = question
        const expected = verdictOf(failures(row, role, question), grantRuleOf(action))
        assert.ok(actionSchema.safeParse(action).success, JSON.stringify(action))
        assert.equal(authorize(question), expected, `${role} ${action.action_type} ${action.target.name}`)
      }
    })
  }
}

/** A change that adds one failure, or several, to what role and lane come to. */
function adds(
  title: string,
  change: (question: Question, row: LaneRow) => Question | undefined,
  ...failures: (Expected | ((row: LaneRow, question: Question) => Expected[]))[]
): void {
  holds(title, change, (row, role, question) => [
    ...grantsOf(row, role),
    ...failures.flatMap((failure) => (typeof failure === 'function' ? failure(row, question) : [failure])),
  ])
}

adds('exactly the grants of the table are allowed', (question) => question)

// Check 1.
for (const status of runStatuses.filter((candidate) => candidate !== 'running')) {
  adds(`a run that is ${status}`, (question) => withRun(question, { status }), [1, 'not_permitted', 'run/running'])
}
holds(
  'no policy',
  (question) => ({ ...question, policy: undefined }),
  () => [[1, 'error', 'policy_unreadable']],
)
const pins = (change: object) => (question: Question) =>
  withRun(question, { policy_versions: { ...question.run.policy_versions, ...change } })
for (const [name, wrong] of [
  ['lanes', null],
  ['lanes', 'UNPINNED'],
  ['lanes', 'main'],
  ['roles', null],
  ['roles', 'abc123'],
] as const) {
  test(`no pin of ${name}: ${wrong}`, () => {
    for (const row of laneTable) {
      const [action] = actionsOf(row)
      for (const role of roles) {
        const question = pins({ [name]: wrong })(questionOf(action as Action, role))
        const failures: Expected[] = [[1, 'missing_pin', `pin_missing:${name}`, name], ...grantsOf(row, role)]
        const expected = verdictOf(failures, '')
        assert.equal(authorize(question), { ...expected, pins: { ...expected.pins, [name]: 'UNPINNED' } })
      }
    }
  })
}
adds('another contract', (question) => withRun(question, { contract_version: null }), [
  1,
  'missing_pin',
  'pin_missing:contract_version',
  'contract_version',
])
for (const change of [{ lanes: 'other' }, { roles: 'other' }, { lanes: 'other', roles: 'other' }]) {
  adds(
    `another content of ${Object.keys(change).join(' and ')}`,
    (question) => withRun(question, { policy_sha256: { ...policy.sha256, ...change } }),
    [1, 'drift', 'policy_drift'],
  )
}
adds('no content', (question) => withRun(question, { policy_sha256: null }), [1, 'drift', 'policy_drift'])
test('the same content under another pin is accepted: only the content counts', () => {
  for (const row of laneTable) {
    for (const action of actionsOf(row)) {
      const role = row.roles[0] as keyof typeof roleTable
      const other = { lanes: 'f'.repeat(40), roles: 'F'.repeat(64) }
      const verdict = authorize(pins(other)(questionOf(action, role)))
      assert.equal(verdict, { ...verdictOf([], grantRuleOf(action)), pins: { ...other, roles: 'f'.repeat(64) } })
    }
  }
})

// Check 2.
holds(
  'no role',
  (question) => withRun(question, { role_id: null }),
  () => [[2, 'not_permitted', 'run/role', 'role_id']],
)
for (const ghost of ['GHOST', 'attorney_admin', '__proto__', 'constructor']) {
  holds(
    `an unknown role: ${ghost}`,
    (question) => withRun(question, { role_id: ghost }),
    ({ lane }) => [
      [2, 'not_permitted', `role:${ghost}/known`],
      [3, 'not_permitted', `lane:${lane}/allowed_callers`],
    ],
  )
}
for (const actor_type of ['agent', 'human', 'system'] as const) {
  holds(
    `by an actor of type ${actor_type}`,
    (question) => withRun(question, { actor_type }),
    (row, role) => [
      ...(role === 'ATTORNEY_ADMIN' && actor_type !== 'human'
        ? [[2, 'not_permitted', 'role:ATTORNEY_ADMIN/class'] as Expected]
        : []),
      ...grantsOf(row, role),
    ],
  )
}

// Check 3.
for (const lane_id of [null, 'GHOST', 'TOOL_INTERVIEW_CAPTURE', 'SYSTEM_OVERRIDE']) {
  adds(
    `in a run of the lane ${lane_id}`,
    (question, row) => (lane_id === row.lane ? undefined : withRun(question, { lane_id })),
    [2.5, 'not_permitted', 'mediation/lane'],
  )
}
holds(
  'in an unknown lane',
  (question) => withAction(withRun(question, { lane_id: 'GHOST' }), { lane_id: 'GHOST' }),
  (_, role) => [
    [3, 'not_permitted', 'lane:GHOST/known'],
    [3, 'not_permitted', `role:${role}/lanes`],
  ],
)

// Check 4.
for (const run_kind of runKinds) {
  adds(
    `in a run of kind ${run_kind}`,
    (question) => withRun(question, { run_kind }),
    (_, { action }) =>
      run_kind ===
      { tool_call: 'tool_gateway', db_write: 'db_write', db_read: 'db_read', promotion: 'promotion', export: 'export' }[
        action.action_type
      ]
        ? []
        : [[4, 'unmediated', `mediation/${action.action_type}`]],
  )
}

// Check 5.
const target = (change: (target: Action['target']) => Action['target']) => (question: Question) =>
  withAction(question, { target: change(question.action.target) })
const notListed = (_: LaneRow, { action }: Question): Expected[] => [[5, 'not_permitted', grantRuleOf(action)]]
adds(
  'a target that is not listed',
  target((is) => ({ ...is, name: 'unheard.of' })),
  notListed,
)
adds(
  'a target in capitals',
  target((is) => ({ ...is, name: is.name.toUpperCase() })),
  notListed,
)
adds(
  'a target and a blank',
  target((is) => ({ ...is, name: `${is.name} x` })),
  notListed,
)
adds(
  'a prefix of a target',
  target((is) => ({ ...is, name: is.name.slice(0, 4) })),
  notListed,
)

const isWrite = ({ action }: Question) => action.action_type === 'db_write' || action.action_type === 'promotion'
for (const mode of ['delete', 'APPEND', undefined]) {
  adds(
    `a write in the mode ${mode}`,
    (question) => {
      const { name } = question.action.target
      return isWrite(question) ? target(() => (mode === undefined ? { name } : { name, mode }))(question) : undefined
    },
    notListed,
  )
}
adds(
  'a read of a write target, which no lane grants',
  (question) =>
    isWrite(question) ? withRun(withAction(question, { action_type: 'db_read' }), { run_kind: 'db_read' }) : undefined,
  ({ lane }) => [[5, 'not_permitted', `lane:${lane}/reads`]],
)
for (const name of ['audit_ledger', 'Audit_Ledger']) {
  adds(
    `${name}, whatever the lane lists`,
    (question) => (isWrite(question) ? target(() => ({ name, mode: 'append' }))(question) : undefined),
    (row, { action }) => [
      [5, 'not_permitted', 'target/audit_ledger'],
      ...(row.writes.some(([table]) => table === name) ? [] : [[5, 'not_permitted', grantRuleOf(action)] as Expected]),
    ],
  )
}
adds(
  'a promotion in a lane that is not for promotions',
  (question, row) =>
    isWrite(question) && !row.requires.includes('promotion_ticket_id')
      ? withRun(withAction(question, { action_type: 'promotion' }), { run_kind: 'promotion' })
      : undefined,
  ({ lane, prohibits }) => [
    [5, 'not_permitted', `lane:${lane}/promotion`],
    [6, 'missing_scope', `lane:${lane}/requires/promotion_ticket_id`, 'promotion_ticket_id'],
    [
      7,
      'forbidden',
      `${prohibits.includes('shared_knowledge_write') ? `lane:${lane}/` : ''}prohibits/shared_knowledge_write`,
    ],
    [7.5, 'missing_scope', 'shared_knowledge/sanitized_artifact', 'artifacts'],
  ],
)
adds(
  'an export of something that is not a bundle',
  (question) =>
    question.action.target.name.startsWith('override.')
      ? withRun(withAction(question, { action_type: 'export' }), { run_kind: 'export' })
      : undefined,
  ({ lane }) => [[5, 'not_permitted', `lane:${lane}/tools`]],
)

// Check 6.
for (const key of new Set(laneTable.flatMap(({ requires }) => requires))) {
  for (const value of [undefined, '', ' \t', ...(key === 'attorney_signoff' ? ['true', false, 1] : [])]) {
    adds(
      `${key} is ${JSON.stringify(value)}`,
      (question, row) => (row.requires.includes(key) ? withScope(question, { [key]: value }) : undefined),
      ({ lane }) => [[6, 'missing_scope', `lane:${lane}/requires/${key}`, key]],
    )
  }
}
adds(
  'nothing is stated',
  (question) => withAction(question, { scope: {} }),
  ({ lane, requires }) => requires.map((key): Expected => [6, 'missing_scope', `lane:${lane}/requires/${key}`, key]),
)
for (const run_id of ['run_0002', 1]) {
  const failed: Expected = [6, 'missing_scope', 'scope/run_id', 'run_id']
  adds(`another run: ${run_id}`, (question) => withScope(question, { run_id }), failed)
}

/** Another case’s id is no scope of this run, and looking there is prohibited, in this lane or in every one. */
const crossed = ({ lane, prohibits }: LaneRow): Expected => [
  7,
  'forbidden',
  prohibits.includes('cross_case_lookup') ? `lane:${lane}/prohibits/cross_case_lookup` : 'prohibits/cross_case_lookup',
]
adds(
  'another case',
  (question) => withScope(question, { case_id: 'CASE-18' }),
  [6, 'missing_scope', 'scope/case_id', 'case_id'],
  (row) => [crossed(row)],
)
adds(
  'a case in a run without one',
  (question) => withRun(withScope(question, { case_id: 'CASE-17' }), { case_id: null }),
  [6, 'missing_scope', 'scope/case_id', 'case_id'],
  (row) => [crossed(row)],
)

// Check 7.
const words = new Set([...laneTable.flatMap(({ prohibits }) => prohibits), 'something_else'])
for (const effect of words) {
  adds(
    `the caller declares ${effect}`,
    (question) => withAction(question, { effects: [effect, effect] }),
    (row) => {
      if (row.prohibits.includes(effect)) return [[7, 'forbidden', `lane:${row.lane}/prohibits/${effect}`]]
      const isDenied = effect === 'cross_case_lookup' || effect === 'shared_knowledge_write'
      if (!isDenied || (effect === 'shared_knowledge_write' && row.lane === 'PROMOTE_SHARED_KNOWLEDGE')) return []
      return [[7, 'forbidden', `prohibits/${effect}`]]
    },
  )
}

/** Those of some effects that the lane prohibits, in the order they are listed in. */
const prohibited =
  (...effects: string[]) =>
  ({ lane, prohibits }: LaneRow): Expected[] =>
    effects
      .filter((effect) => prohibits.includes(effect))
      .map((effect) => [7, 'forbidden', `lane:${lane}/prohibits/${effect}`])

for (const destination of outside) {
  adds(
    `a destination outside: ${destination}`,
    (question) => withScope(question, { destination }),
    prohibited('external_export', 'raw_external_destination'),
  )
}
adds(
  'a target outside',
  target((is) => ({ ...is, name: 'https://host.example/x' })),
  notListed,
  prohibited('external_export', 'raw_external_destination'),
)
for (const destination of inside) {
  adds(`a destination inside: ${destination}`, (question) => withScope(question, { destination }))
}
const artifact = (change: Partial<ArtifactRef>) => (question: Question) =>
  withAction(question, { artifacts: [sanitized(), sanitized(change)] })
/** Whether an action writes shared knowledge: in the table, every write of the lane for promotions does. */
const isSharing = ({ requires }: LaneRow) => requires.includes('promotion_ticket_id')
for (const storage_locator of ['https://host.example/x', 's3://host/x', '//host.example/x', 'ssh://host.example/x']) {
  adds(
    `an artifact outside: ${storage_locator}`,
    artifact({ storage_locator }),
    prohibited('external_export', 'raw_external_destination'),
  )
}
adds('an artifact in a store', artifact({ storage_locator: 'cases/17/x.wav' }))
adds('an artifact of the case', artifact({ case_id: 'CASE-17', scope: 'case' }), (row) =>
  isSharing(row) ? prohibited('client_identity')(row) : [],
)
adds('an artifact of another case', artifact({ case_id: 'CASE-18' }), (row) => [
  ...(isSharing(row) ? prohibited('client_identity')(row) : []),
  crossed(row),
])
for (const artifact_kind of ['raw_case_text', 'Raw-Case-Text', 'RawCaseText', 'client_identity', 'privileged_notes']) {
  const effect = ['client_identity', 'privileged_notes'].find((kind) => kind === artifact_kind) ?? 'raw_case_text'
  adds(`an artifact of the kind ${artifact_kind}`, artifact({ artifact_kind }), prohibited(effect))
}
adds('an artifact whose content is not stated', artifact({ confidentiality: null }), (row) =>
  isSharing(row) ? prohibited('client_identity', 'privileged_notes')(row) : [],
)
adds(
  'no artifact',
  (question) => withAction(question, { artifacts: [] }),
  (row) => (isSharing(row) ? [[7.5, 'missing_scope', 'shared_knowledge/sanitized_artifact', 'artifacts']] : []),
)
for (const [mark, effect] of [
  ['contains_privileged', 'privileged_notes'],
  ['contains_pii', 'client_identity'],
  ['contains_phi', 'client_identity'],
] as const) {
  for (const value of [true, null]) {
    const confidentiality = { ...sanitized().confidentiality, [mark]: value }
    adds(`an artifact with ${mark}: ${value}`, artifact({ confidentiality }), (row) =>
      value || isSharing(row) ? prohibited(effect)(row) : [],
    )
  }
}
for (const audit of [false, 'false', 0]) {
  const stated = (question: Question) => withScope(question, { audit })
  adds(`audit: ${JSON.stringify(audit)}`, stated, prohibited('bypass_audit', 'unaudited_delivery'))
}
adds('audit: true', (question) => withScope(question, { audit: true }))

test('every action type except a read is allowed with some lane, role and target', () => {
  const allowed = laneTable.flatMap((row) => actionsOf(row).map(({ action_type }) => action_type))
  assert.equal(
    privilegedActions.filter((type) => !allowed.includes(type)),
    ['db_read'],
  )
})

test.run()
