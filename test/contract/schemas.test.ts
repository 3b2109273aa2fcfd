import { readFileSync } from 'node:fs'
import type { ErrorObject } from 'ajv'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { counterexamplesOf, keywordsByFault } from '../../contract/counterexamples.ts'
import { fixturesOf } from '../../contract/fixtures.ts'
import { ajvOf } from '../../contract/schema-places.ts'
import type { JsonSchema } from '../../contract/schemas.ts'
import { entrySchema, lockContentionSchema, lockFileSchema, runLockSchema } from '../../src/contract.ts'
import { actorSchema, reasonSchema } from '../../src/core/ids.ts'

const test = suite('the schemas of Contract v1')

const zodSchemas = {
  entry: entrySchema,
  lock_contention: lockContentionSchema,
  lock_file: lockFileSchema,
  run_lock: runLockSchema,
}

const contract = Object.entries(zodSchemas).map(([name, zod]) => {
  const text = readFileSync(`contract/v1/schemas/${name}.schema.yaml`, 'utf8')
  const schema: JsonSchema = parse(text)
  const validate = ajvOf(schema).getSchema(String(schema.$id))
  assert.ok(validate)
  /** What JSON Schema has against a document; zod must be of the same mind. */
  const errorsOf = (document: unknown, what: string): ErrorObject[] => {
    const isValid = validate(document)
    assert.is(zod.safeParse(document).success, isValid, `${name}: zod and JSON Schema differ on ${what}`)
    return validate.errors ?? []
  }
  return { name, text, schema, errorsOf, good: fixturesOf(name, 'good'), bad: fixturesOf(name, 'bad') }
})

test('say what they are and where that comes from', () => {
  for (const { name, schema } of contract) {
    assert.is(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
    assert.is(schema.$id, `urn:lockstep:contract:v1:${name}`)
    assert.ok(schema.title)
    assert.match(String(schema.description), /Source: .* \(seed [1-4]\)\.$/)
  }
})

test('are closed at every depth, but for the lock file and its further members', () => {
  for (const { name, schema } of contract) {
    const open = openObjects(schema, '#')
    assert.equal(open, name === 'lock_file' ? ['#'] : name === 'entry' ? ['#/properties/data'] : [], name)
  }
})

test('read the same in YAML 1.1 and 1.2', () => {
  for (const { text } of contract) assert.equal(parse(text, { version: '1.1' }), parse(text, { version: '1.2' }))
})

test('take every good fixture', () => {
  for (const { good, errorsOf } of contract) {
    assert.ok(good.size > 0)
    for (const [stem, document] of good) assert.equal(errorsOf(document, stem), [], stem)
  }
})

test('refuse every bad fixture, for what its name says and nothing else', () => {
  for (const { name, good, bad, errorsOf } of contract) {
    for (const [stem, document] of bad) {
      const [base = '', member = '', fault = ''] = stem.split('--')
      const path = member === 'document' ? [] : member.split('.')
      const keywords = Object.entries(keywordsByFault).flatMap(([name, keywords]) =>
        fault === name || fault.startsWith(`${name}-`) ? keywords : [],
      )
      const errors = errorsOf(document, stem)
      const isSaid = errors.some((error) => keywords.includes(error.keyword) && placeOf(error) === `/${path.join('/')}`)
      assert.ok(isSaid, `${name}/bad/${stem}: ${JSON.stringify(errors)}`)
      assert.equal(without(document, path), without(good.get(base), path), `${name}/bad/${stem}`)
    }
  }
})

test('have a good fixture for every place and a bad one just past every rule', () => {
  for (const { name, good, bad, schema } of contract) {
    const { documents, unreached } = counterexamplesOf(schema, good)
    assert.equal(unreached, [], `${name}: no good fixture shows what these demand`)
    for (const [stem, document] of documents) {
      assert.equal(
        bad.get(stem),
        document,
        `${name}/bad/${stem}.json: npm run contract -- --fixtures adds what is missing`,
      )
    }
  }
})

test('state for names and reasons what the code checks', () => {
  const [entry] = contract
  const good = entry?.good.get('lock.broken') as { actor: object; data: object }
  // Of what may go wrong with a text, rather more than usual; too short for the bounds in bytes.
  const piece = fc.constantFrom(
    ' ',
    '\t',
    '\n',
    '\r',
    '\v',
    '\u0085',
    '\u00a0',
    '\u2028',
    '\ufeff',
    '\0',
    '\ud800',
    '𝒩',
    'é',
    'a',
  )
  const text = fc.oneof(fc.string({ unit: piece, maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }))
  fc.assert(
    fc.property(text, (text) => {
      const isName = actorSchema.safeParse({ actor_id: text, actor_type: 'human' }).success
      const named = { ...good, actor: { ...good.actor, actor_id: text } }
      assert.is(entry?.errorsOf(named, JSON.stringify(text)).length === 0, isName)
      const reasoned = { ...good, data: { ...good.data, reason: text } }
      assert.is(entry?.errorsOf(reasoned, JSON.stringify(text)).length === 0, reasonSchema.safeParse(text).success)
    }),
    { numRuns: 2_000 },
  )
})

test.run()

/** The pointers of objects that take members nobody named. */
function openObjects(node: unknown, pointer: string): string[] {
  if (node === null || typeof node !== 'object') return []
  const isOpen =
    'type' in node && node.type === 'object' && !('additionalProperties' in node && !node.additionalProperties)
  const inner = Object.entries(node).flatMap(([key, member]) => openObjects(member, `${pointer}/${key}`))
  return isOpen ? [pointer, ...inner] : inner
}

/** Where a document is wrong, the member that is missing or too many included. */
function placeOf({ instancePath, params }: ErrorObject): string {
  const { missingProperty, additionalProperty } = params as Record<string, string | undefined>
  const member = missingProperty ?? additionalProperty
  return `${instancePath}/${member ?? ''}`.replace(/(?<=.)\/$/, '')
}

/** A copy of the document with nothing at the path. */
function without(document: unknown, path: string[]): unknown {
  const [key, ...rest] = path
  if (key === undefined) return undefined
  const copy = structuredClone(document) as Record<string, unknown>
  if (rest.length === 0) delete copy[key]
  else copy[key] = without(copy[key], rest)
  return copy
}
