import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { changed, lanes, roles } from '../../../fixtures/policy/files.ts'
import { scopeIn } from '../../../src/cli/values.ts'
import { authorize } from '../../../src/domain/policy/authorize.ts'
import { problemText } from '../../../src/domain/policy/document.ts'
import { readPolicy } from '../../../src/files/policy/policy-file.ts'
import { isBlank } from '../../../src/kernel/visible.ts'
import { laneTable } from '../../support/policy-tables.ts'
import { actionsOf, policy, questionOf } from '../questions.ts'

const test = suite('what a scope states')

const nothings = [
  '',
  ' ',
  '\u200b',
  '\u200b\u2060 \ufeff',
  '\u3164',
  '\u2800',
  '\u00ad',
  'false',
  ' FALSE ',
  'f\u200balse',
  'ｆａｌｓｅ',
  '0',
  '00',
  '0.0',
  '-0',
  'null',
  'None',
  'undefined',
  'n/a',
  '-',
  '--',
  '""',
  '"null"',
  '\u0301',
]
for (const text of nothings) {
  test(`is nothing: ${JSON.stringify(text)}`, () => {
    is(isBlank(text), true)
  })
}

for (const text of ['PT-1', '1', '10', '007', 'ä', '票', 'nullable', 'zero-day', '0x1', 'true', 'no', '٣']) {
  test(`is something: ${text}`, () => {
    is(isBlank(text), false)
  })
}

test('a promotion requires a ticket that a person would take for one', () => {
  const row = laneTable.find(({ lane }) => lane === 'PROMOTE_SHARED_KNOWLEDGE')
  ok(row)
  for (const action of actionsOf(row)) {
    for (const promotion_ticket_id of [...nothings, false, true, 0]) {
      const scope = { ...action.scope, promotion_ticket_id }
      const verdict = authorize(questionOf({ ...action, scope }, 'GOVERNANCE_AGENT'))
      equal([verdict.decision, verdict.missing], ['deny', ['promotion_ticket_id']], JSON.stringify(promotion_ticket_id))
    }
    is(authorize(questionOf(action, 'GOVERNANCE_AGENT')).missing.length, 0)
  }
})

const placeholders = [
  'no',
  'true',
  'n.a.',
  'N/A.',
  'TBD',
  't.b.d.',
  '0x0',
  'todo',
  'ToDo',
  'unknown',
  '(unknown)',
  'xxx',
  'ｔｂｄ',
]

test('a ticket that says only that there is none is none', () => {
  const row = laneTable.find(({ lane }) => lane === 'PROMOTE_SHARED_KNOWLEDGE')
  const [action] = row === undefined ? [] : actionsOf(row)
  ok(action)
  const missing = (promotion_ticket_id: string) =>
    authorize(questionOf({ ...action, scope: { ...action.scope, promotion_ticket_id } }, 'GOVERNANCE_AGENT')).missing
  for (const text of placeholders) equal(missing(text), ['promotion_ticket_id'], text)
  for (const text of ['NO-17', 'TBD-1', 'PT-1', '1', 'unknown-cause-4', '0x1']) equal(missing(text), [], text)
})

test('every required fact is denied if it is nothing', () => {
  for (const row of laneTable) {
    const [action] = actionsOf(row)
    const [role] = row.roles
    ok(action && role)
    for (const key of row.requires) {
      for (const nothing of nothings) {
        const verdict = authorize(questionOf({ ...action, scope: { ...action.scope, [key]: nothing } }, role as never))
        ok(
          verdict.decision === 'deny' && verdict.missing.includes(key),
          `${row.lane} ${key} ${JSON.stringify(nothing)}`,
        )
      }
    }
  }
})

test('a case that is stated as nothing is still not another case', () => {
  const row = laneTable.find(({ requires }) => !requires.includes('case_id'))
  const [action] = row === undefined ? [] : actionsOf(row)
  ok(action)
  const scope = { ...action.scope, case_id: 'none' }
  const verdict = authorize(questionOf({ ...action, scope }, 'GOVERNANCE_AGENT'))
  ok(verdict.rule_ids.includes('scope/case_id'), verdict.rule_ids.join())
})

test('the command takes text as text, and only the documented flags as true or false', () => {
  equal(scopeIn(['attorney_signoff=true', 'audit=false', 'promotion_ticket_id=false', 'client_session_id=true']), {
    attorney_signoff: true,
    audit: false,
    client_session_id: 'true',
    promotion_ticket_id: 'false',
  })
  equal(scopeIn(['attorney_signoff=TRUE', 'a=b=c']), { a: 'b=c', attorney_signoff: 'TRUE' })
  let refused = ''
  try {
    scopeIn(['case_id=A', 'case_id=B'])
  } catch (error) {
    refused = (error as Error).message
  }
  ok(refused.includes('case_id'))
})

const linted = (text: string) => {
  const of = (file: string, content: string) => ({ file, bytes: Buffer.from(content) })
  const read = readPolicy({ lanes: of('lanes.yaml', text), roles: of('roles.yaml', roles) })
  return 'problems' in read ? read.problems.map(problemText) : read.findings.map(problemText)
}

test('policy check finds prohibitions and allowances that it does not know, and suggests the known word', () => {
  const wrong = changed(lanes, 'prohibits: [shared_knowledge_write]', 'prohibits: [external_exprot, own_word]')
  equal(linted(wrong), [
    'lanes.yaml:12: lanes.0.scope.prohibits.0: external_exprot is not a known effect, so it prohibits only what callers declare by this name: did you mean external_export?',
    'lanes.yaml:12: lanes.0.scope.prohibits.1: own_word is not a known effect, so it prohibits only what callers declare by this name',
  ])
  const allows = linted(changed(lanes, 'allows: [shared_knowledge_write]', 'allows: [shared_knowlege_write]'))
  ok(allows.join().includes('"cross_case_lookup"|"shared_knowledge_write"'), allows.join())
  const requires = linted(changed(lanes, 'requires: [case_id, run_id]', 'requires: [case_id, run_id, atorney_signoff]'))
  ok(requires.join().includes('did you mean attorney_signoff?'), requires.join())
})

test('a lane without audit is found, and its actions are denied, because the contract demands audit', () => {
  const off = changed(lanes, 'audit: { required: true', 'audit: { required: false')
  equal(linted(off), [
    'lanes.yaml:13: lanes.0.audit.required: the contract demands audit, so every action in this lane is denied',
  ])
  const row = laneTable.find(({ lane }) => lane === 'WRITE_INTAKE_ARTIFACTS')
  const [action] = row === undefined ? [] : actionsOf(row)
  ok(action)
  const lane = policy.lanes.get('WRITE_INTAKE_ARTIFACTS')
  ok(lane)
  const unaudited = { ...lane, audit: { ...lane.audit, required: false } }
  const without = { ...policy, lanes: new Map([...policy.lanes, [lane.lane_id, unaudited]]) }
  const question = questionOf(action, 'INTAKE_AGENT')
  is(authorize(question).decision, 'allow')
  const verdict = authorize({ ...question, policy: without })
  equal([verdict.decision, verdict.rule_ids], ['deny', ['lane:WRITE_INTAKE_ARTIFACTS/audit/required']])
})

test.run()
