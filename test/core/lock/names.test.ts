import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  deliverableIdIn,
  deliverableIdOf,
  judgeRunId,
  kindOf,
  lockNameSchema,
  parseTarget,
  projectNameOf,
  resourceNameSchema,
  streamOf,
  type Target,
} from '../../../src/domain/lock/names.ts'
import { fixture } from '../../merkle/model.ts'

type Names = {
  accepted: { text: string; name: string; kind: string; deliverable_id?: string }[]
  refused: string[]
  not_resources: string[]
}
type DeliverableIds = { ids: { folder: string; id: string }[]; none: string[] }
type Targets = {
  read: { text: string; prefix?: string; target: Target; name: string }[]
  refused: { text: string; says: string }[]
}
type RunIds = { run_id: string; client: string; slug: string; warning?: string; problem?: string }[]

const test = suite('lock names')
const names = fixture<Names>('lock/names.json')
const deliverables = fixture<DeliverableIds>('lock/deliverable-ids.json')
const targets = fixture<Targets>('lock/targets.json')

for (const { text, name, kind, deliverable_id } of names.accepted) {
  test(`a name is read: ${JSON.stringify(text)}`, () => {
    assert.is(lockNameSchema.parse(text), name)
    assert.is(lockNameSchema.parse(name), name, 'the full name is its own')
    assert.is(kindOf(name), kind)
    assert.is(deliverableIdIn(name), deliverable_id)
    assert.is(streamOf(name), `lock/${name}`)
    assert.is(resourceNameSchema.safeParse(text).success, kind === 'resource')
  })
}

for (const text of names.refused) {
  test(`a name is refused: ${JSON.stringify(text)}`, () => assert.not(lockNameSchema.safeParse(text).success))
}

for (const text of names.not_resources) {
  test(`${text} is not acquired by its name`, () => assert.not(resourceNameSchema.safeParse(text).success))
}

test('the rest of a resource name has at most 200 bytes, with or without its kind', () => {
  const wide = 'ü'.repeat(99)
  for (const [rest, fits] of [
    ['n'.repeat(200), true],
    ['n'.repeat(201), false],
    [`${wide}xx`, true],
    [`${wide}xxx`, false],
  ] as const) {
    assert.is(lockNameSchema.safeParse(rest).success, fits, rest)
    assert.is(lockNameSchema.safeParse(`resource:${rest}`).success, fits, `resource:${rest}`)
  }
})

test('every project that a target can name has a lock name that can be requested', () => {
  const word = 'w'.repeat(80)
  const target = parseTarget(`IAMBECCA | ${word} | ${word} | ${word} | NEO`, 'IAMBECCA')
  if (typeof target === 'string') throw new Error(target)
  const name = projectNameOf(target)
  assert.is(lockNameSchema.parse(name), name)
  assert.type(parseTarget(`IAMBECCA | ${word}w | a | b | NEO`, 'IAMBECCA'), 'string')
  assert.not(lockNameSchema.safeParse(`project:${word}w/a/b`).success)
})

test('the prefix of an execution root has at most 60 characters', () => {
  assert.ok(lockNameSchema.safeParse(`deliverable:${'p'.repeat(60)}/DEL-08-05`).success)
  assert.not(lockNameSchema.safeParse(`deliverable:${'p'.repeat(61)}/DEL-08-05`).success)
})

for (const { folder, id } of deliverables.ids) {
  test(`a folder begins with its deliverable id: ${folder}`, () => assert.is(deliverableIdOf(folder), id))
}

for (const folder of deliverables.none) {
  test(`a folder does not begin with a deliverable id: "${folder}"`, () =>
    assert.is(deliverableIdOf(folder), undefined))
}

for (const { text, prefix = 'IAMBECCA', target, name } of targets.read) {
  test(`a target is read: ${text}`, () => {
    assert.equal(parseTarget(text, prefix), target)
    assert.is(projectNameOf(target), name)
  })
}

for (const { text, says } of targets.refused) {
  test(`a target is refused: "${text}"`, () => {
    const reason = parseTarget(text, 'IAMBECCA')
    assert.type(reason, 'string')
    assert.match(String(reason), says)
  })
}

for (const { run_id, client, slug, problem, warning } of fixture<RunIds>('lock/run-ids.json')) {
  const verdict = problem === undefined ? (warning === undefined ? 'fits' : 'is odd') : 'does not fit'
  test(`a run_id ${verdict} ${client} and ${slug}: ${JSON.stringify(run_id)}`, () => {
    const judged = judgeRunId(run_id, { client, type: 'GOVERNANCE', slug, codename: 'NEO' })
    assert.equal(Object.keys(judged), problem === undefined ? (warning === undefined ? [] : ['warning']) : ['problem'])
    assert.match(judged.problem ?? '', problem ?? '')
    assert.match(judged.warning ?? '', warning ?? '')
  })
}

test.run()
