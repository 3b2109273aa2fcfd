import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { authorize, authorizeStart } from '../../src/domain/policy/authorize.ts'
import type { Policy } from '../../src/domain/policy/policy.ts'
import { caseWorkFiles, laneTable, policyOfTexts, type roleTable } from '../support/policy-tables.ts'
import { actionsOf, type Question, questionOf, sanitized, withAction, withRun, withScope } from './questions.ts'

const test = suite('authorize, beyond the shipped policy')
const texts = { lanes: readFileSync(caseWorkFiles.lanes, 'utf8'), roles: readFileSync(caseWorkFiles.roles, 'utf8') }

/** The first action of a lane by its first role, allowed as it stands. */
function allowedIn(lane: string): Question {
  const row = laneTable.find((candidate) => candidate.lane === lane)
  const [action] = row === undefined ? [] : actionsOf(row)
  if (row === undefined || action === undefined) throw new Error(`no action in ${lane}`)
  return questionOf(action, row.roles[0] as keyof typeof roleTable)
}

/** The same question under another policy, to which the run is pinned too. */
function under(policy: Policy, question: Question): Question {
  return { ...withRun(question, { policy_sha256: policy.sha256 }), policy }
}

/** The shipped policy with parts of a lane's text replaced. */
function policyWith(lane: string, ...changes: (readonly [from: string, to: string])[]): Policy {
  const [before = '', after = ''] = texts.lanes.split(`lane_id: ${lane}\n`)
  const changed = changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), from)
    return text.replace(from, to)
  }, after)
  return policyOfTexts(`${before}lane_id: ${lane}\n${changed}`, texts.roles)
}

const rulesOf = (question: Question) => authorize(question).rule_ids

for (const { lane, roles } of laneTable) {
  for (const role of roles as (keyof typeof roleTable)[]) {
    test(`${lane} and ${role}: a grant by only one side is no grant`, () => {
      const question = {
        ...allowedIn(lane),
        run: { ...allowedIn(lane).run, role_id: role, actor_type: 'human' as const },
      }
      assert.is(authorize(question).decision, 'allow')
      const callers = `roles: [${roles.join(', ')}]`
      const closed = policyWith(lane, [callers, `roles: [${roles.filter((other) => other !== role).join(', ')}]`])
      assert.equal(rulesOf(under(closed, question)), [`lane:${lane}/allowed_callers`])
      const [before, after = ''] = texts.roles.split(`role_id: ${role}\n`)
      const taken = after.replace(new RegExp(`(lanes: \\[.*?)\\b${lane}\\b(?:, )?`), '$1').replace(', ]', ']')
      assert.equal(rulesOf(under(policyOfTexts(texts.lanes, `${before}role_id: ${role}\n${taken}`), question)), [
        `role:${role}/lanes`,
      ])
    })
  }
}

test('a lane grants reads only by the exact name', () => {
  const policy = policyWith('WRITE_MAPPING_OUTPUTS', ['writes:', 'reads: [facts]\n      writes:'])
  const read = (name: string) =>
    under(
      policy,
      withRun(withAction(allowedIn('WRITE_MAPPING_OUTPUTS'), { action_type: 'db_read', target: { name } }), {
        run_kind: 'db_read',
      }),
    )
  assert.equal(authorize(read('facts')).decision, 'allow')
  assert.equal(rulesOf(read('facts')), ['lane:WRITE_MAPPING_OUTPUTS/reads'])
  assert.equal(authorize(read('evidence_map')).decision, 'deny')
})

test('no lane opens the audit ledger, neither for reads nor as a tool', () => {
  const lane = 'WRITE_MAPPING_OUTPUTS'
  const policy = policyWith(lane, ['writes:', 'reads: [audit_ledger]\n      tools: [audit_ledger]\n      writes:'])
  for (const [action_type, run_kind] of [
    ['db_read', 'db_read'],
    ['tool_call', 'tool_gateway'],
  ] as const) {
    const question = withAction(allowedIn(lane), { action_type, target: { name: 'audit_ledger' } })
    assert.equal(rulesOf(under(policy, withRun(question, { run_kind }))), ['target/audit_ledger'])
  }
})

test('a lane that allows other cases may read another case', () => {
  const lane = 'WRITE_MAPPING_OUTPUTS'
  const prohibits = 'prohibits: [shared_knowledge_write]'
  const policy = policyWith(lane, [prohibits, `${prohibits}\n      allows: [cross_case_lookup]`])
  const other = withScope(allowedIn(lane), { case_id: 'CASE-18' })
  assert.equal(rulesOf(other), ['scope/case_id', 'prohibits/cross_case_lookup'])
  assert.is(authorize(under(policy, other)).decision, 'allow')
  assert.is(authorize(under(policy, withAction(allowedIn(lane), { effects: ['cross_case_lookup'] }))).decision, 'allow')
})

for (const key of [
  'source_case',
  'case',
  'caseid',
  'c_a_s_e',
  'case_number',
  'case_id_2',
  'case_ids',
  'other_case_id',
]) {
  test(`another case is another case, whatever the scope calls it: ${key}`, () => {
    const question = allowedIn('WRITE_MAPPING_OUTPUTS')
    assert.equal(rulesOf(withScope(question, { [key]: 'CASE-18' })), ['prohibits/cross_case_lookup'])
    for (const own of ['CASE-17', ' ']) {
      assert.is(authorize(withScope(question, { [key]: own })).decision, 'allow')
    }
    const required = policyWith(question.action.lane_id, ['requires: [', `requires: [${key}, `])
    assert.is(authorize(under(required, withScope(question, { [key]: 'CASE-18' }))).decision, 'allow')
  })
}

test('a lane cannot allow what it prohibits', () => {
  const lane = 'TOOL_INTERVIEW_CAPTURE'
  const prohibits = 'prohibits: [cross_case_lookup, external_export]'
  const policy = policyWith(lane, [prohibits, `${prohibits}\n      allows: [cross_case_lookup]`])
  const question = withAction(allowedIn(lane), { effects: ['cross_case_lookup'] })
  assert.equal(rulesOf(under(policy, question)), [`lane:${lane}/prohibits/cross_case_lookup`])
})

const mapping = 'WRITE_MAPPING_OUTPUTS'
const sharedFacts = ['table: facts', 'table: shared_facts'] as const
const allowed = 'allows: [shared_knowledge_write]'
const prohibited = 'prohibits: [shared_knowledge_write]'
for (const [title, lane, changes, table, rule] of [
  [
    'a lane that prohibits it',
    mapping,
    [sharedFacts],
    'shared_facts',
    `lane:${mapping}/prohibits/shared_knowledge_write`,
  ],
  [
    'a lane that says nothing of it',
    mapping,
    [sharedFacts, [prohibited, 'prohibits: []']],
    'shared_facts',
    'prohibits/shared_knowledge_write',
  ],
  [
    'a lane that allows it and requires no ticket',
    mapping,
    [sharedFacts, [prohibited, `prohibits: []\n      ${allowed}`]],
    'shared_facts',
    'prohibits/shared_knowledge_write',
  ],
  [
    'a promotion lane that does not allow it',
    'PROMOTE_SHARED_KNOWLEDGE',
    [[`      ${allowed}\n`, '']],
    'shared_playbooks',
    'prohibits/shared_knowledge_write',
  ],
] as const) {
  test(`shared knowledge is not written from ${title}`, () => {
    const question = withAction(allowedIn(lane), { artifacts: [sanitized()], target: { name: table, mode: 'append' } })
    assert.equal(rulesOf(under(policyWith(lane, ...changes), question)), [rule])
  })
}

/** One failure for each of the seven checks, from the last to the first, on top of those before it. */
const steps: [reason: string, rule: string, change: (question: Question) => Question][] = [
  [
    'forbidden',
    'lane:TOOL_INTERVIEW_CAPTURE/prohibits/external_export',
    (q) => withAction(q, { effects: ['external_export'] }),
  ],
  ['missing_scope', 'lane:TOOL_INTERVIEW_CAPTURE/requires/run_id', (q) => withScope(q, { run_id: '' })],
  ['not_permitted', 'lane:TOOL_INTERVIEW_CAPTURE/tools', (q) => withAction(q, { target: { name: 'other' } })],
  ['unmediated', 'mediation/tool_call', (q) => withRun(q, { run_kind: 'agent' })],
  ['not_permitted', 'mediation/lane', (q) => withRun(q, { lane_id: 'SYSTEM_OVERRIDE' })],
  ['not_permitted', 'role:INTERVIEW_AGENT/class', (q) => ({ ...q, policy: humansOnly(q.policy) })],
  ['drift', 'policy_drift', (q) => withRun(q, { policy_sha256: null })],
  ['missing_pin', 'pin_missing:roles', (q) => withRun(q, { policy_versions: { ...q.run.policy_versions, roles: '' } })],
  ['not_permitted', 'run/running', (q) => withRun(q, { status: 'completed' })],
]

function humansOnly(policy: Policy | undefined): Policy {
  if (policy === undefined) throw new Error('no policy')
  const roles = [...policy.roles].map(([id, role]) => [id, { ...role, class: 'human' as const }] as const)
  return { ...policy, roles: new Map(roles) }
}

test('the first failing check gives the reason, and all failing checks are listed in order', () => {
  let question = allowedIn('TOOL_INTERVIEW_CAPTURE')
  const rules: string[] = []
  for (const [reason, rule, change] of steps) {
    question = change(question)
    rules.unshift(rule)
    const { decision, reason: said, rule_ids } = authorize(question)
    assert.equal([decision, said, rule_ids], ['deny', reason, rules])
  }
  const { missing, pins } = authorize(question)
  assert.equal(missing, ['roles', 'run_id'])
  assert.is(pins.roles, 'UNPINNED')
})

test('an error in the evaluator is a deny with its own code', () => {
  const question = allowedIn('TOOL_INTERVIEW_CAPTURE')
  const failing = { get: () => assert.unreachable('a broken map') } as unknown as Policy['lanes']
  const denied = { decision: 'deny', reason: 'error', rule_ids: ['evaluator_failed'], missing: [] }
  const { pins } = authorize(question)
  for (const part of ['lanes', 'roles'] as const) {
    const broken = { ...question, policy: { ...(question.policy as Policy), [part]: failing } }
    assert.equal(authorize(broken), { ...denied, pins })
    assert.equal(authorizeStart({ ...broken, run: { ...broken.run, status: 'created' } }), { ...denied, pins })
  }
  const unpinned = { lanes: 'UNPINNED', roles: 'UNPINNED' }
  assert.equal(authorize({ ...question, run: undefined as never }), { ...denied, pins: unpinned })
  assert.equal(authorize({ ...question, action: undefined as never }), { ...denied, pins })
})

test('the same question has the same answer, and is not modified', () => {
  const question = allowedIn('EXPORT_CASE_DATA')
  const before = structuredClone(question)
  assert.equal(authorize(question), authorize(structuredClone(question)))
  assert.equal(question, before)
})

test.run()
