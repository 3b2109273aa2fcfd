import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { actionSchema } from '../../src/domain/policy/action.ts'
import { limits } from '../../src/kernel/limits.ts'

const test = suite('actions')
const action = { action_type: 'tool_call', lane_id: 'A', scope: {}, target: { name: 'dictation.start' } }
const takes = (change: object) => actionSchema.safeParse({ ...action, ...change }).success
const membersOf = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]))

for (const [title, change] of [
  [
    'texts, switches and whole numbers in its scope',
    { scope: { case_id: 'CASE-17', attorney_signoff: true, count: -1 } },
  ],
  ['a text at its bound', { scope: { export_reason: 'x'.repeat(limits.reasonChars) } }],
  ['fifty members in its scope', { scope: membersOf(50) }],
  ['effects', { effects: ['external_export', 'of_our_own'] }],
  ['artifacts', { artifacts: [{ artifact_id: 'art', artifact_kind: 'note', hash_sha256: 'A'.repeat(64) }] }],
  ['a mode', { target: { name: 'facts', mode: 'append' } }],
] as const) {
  test(`have ${title}`, () => assert.ok(takes(change)))
}

for (const [title, change] of [
  ['another type', { action_type: 'override' }],
  ['no lane', { lane_id: undefined }],
  ['no scope', { scope: undefined }],
  ['a member that is not known', { payload: 'raw' }],
  ['a member of the target that is not known', { target: { name: 'x', content: 'raw' } }],
  ['nothing in the scope', { scope: { case_id: null } }],
  ['an object in the scope', { scope: { case_id: {} } }],
  ['half a number in the scope', { scope: { count: 0.5 } }],
  ['a text past its bound', { scope: { export_reason: 'x'.repeat(limits.reasonChars + 1) } }],
  ['fifty-one members in the scope', { scope: membersOf(51) }],
  ['a key in capitals', { scope: { CASE_ID: 'x' } }],
  ['a key that looks like an index', { scope: { 10: 'x' } }],
  ['a prototype in the scope', { scope: JSON.parse('{"__proto__":{"run_id":"x"},"a":1}') }],
  ['a prototype in the target', { target: JSON.parse('{"__proto__":{"mode":"x"},"name":"x"}') }],
  ['an effect of two words', { effects: ['external export'] }],
  ['an artifact with its content', { artifacts: [{ artifact_id: 'art', artifact_kind: 'note', content: 'raw' }] }],
  ['a target of two lines', { target: { name: 'a\nb' } }],
] as const) {
  test(`do not have ${title}`, () => assert.not(takes(change)))
}

test.run()
