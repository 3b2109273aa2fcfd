import { readFileSync } from 'node:fs'
import type { ErrorObject } from 'ajv'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { counterexamplesOf, keywordsByFault } from '../../contract/counterexamples.ts'
import { badRowsOf, badTables, documentOf, goodFixturesOf, nameOf, pointerOf } from '../../contract/fixtures.ts'
import { ajvOf } from '../../contract/schema-places.ts'
import type { JsonSchema } from '../../contract/schemas.ts'
import {
  artifactRefSchema,
  auditEventSchema,
  entrySchema,
  exportBundleSchema,
  issueSchema,
  lockContentionSchema,
  lockFileSchema,
  promotionResultSchema,
  runLockSchema,
  runRecordSchema,
  tombstoneSchema,
  tripletSchema,
} from '../../src/contract.ts'
import { actorSchema, reasonSchema } from '../../src/kernel/ids.ts'

const test = suite('the schemas of Contract v1')

const zodSchemas = {
  artifact_ref: artifactRefSchema,
  audit_event: auditEventSchema,
  entry: entrySchema,
  export_bundle: exportBundleSchema,
  lock_contention: lockContentionSchema,
  issue: issueSchema,
  lock_file: lockFileSchema,
  promotion_result: promotionResultSchema,
  run_lock: runLockSchema,
  run_record: runRecordSchema,
  tombstone: tombstoneSchema,
  triplet: tripletSchema,
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
  return { name, text, schema, errorsOf, good: goodFixturesOf(name), bad: badRowsOf(name) }
})

/** Where a schema comes from: a document that its reader can know, and the place in it. */
const source =
  /Source: (?:Run Lifecycle, Contract v1|Run Lifecycle Contract \(v1\) of 2026-02-22|Deliverable Lock Specification \(DEL-08-05\)|RUN_LOCK\.json Template v1\.0\.0), .+\.$/

test('state what they describe and its source', () => {
  for (const { name, schema } of contract) {
    assert.is(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
    assert.is(schema.$id, `urn:lockstep:contract:v1:${name}`)
    assert.ok(schema.title)
    assert.match(String(schema.description), source)
  }
})

test('allow no further members at any depth, except in the lock file', () => {
  for (const { name, schema } of contract) {
    const open = openObjects(schema, '#')
    assert.equal(open, name === 'lock_file' ? ['#'] : name === 'entry' ? ['#/properties/data'] : [], name)
  }
})

test('read the same in YAML 1.1 and 1.2', () => {
  for (const { text } of contract) assert.equal(parse(text, { version: '1.1' }), parse(text, { version: '1.2' }))
})

test('accept every good fixture', () => {
  for (const { good, errorsOf } of contract) {
    assert.ok(good.size > 0)
    for (const [stem, document] of good) assert.equal(errorsOf(document, stem), [], stem)
  }
})

test('refuse every bad fixture for the fault that it names', () => {
  for (const { name, good, bad, errorsOf } of contract) {
    for (const row of bad) {
      const keywords = Object.entries(keywordsByFault).flatMap(([fault, keywords]) =>
        row.fault === fault || row.fault.startsWith(`${fault}-`) ? keywords : [],
      )
      const errors = errorsOf(documentOf(row, good), nameOf(row))
      const isSaid = errors.some((error) => keywords.includes(error.keyword) && placeOf(error) === pointerOf(row))
      assert.ok(isSaid, `${name}: ${nameOf(row)}: ${JSON.stringify(errors)}`)
    }
  }
})

test('have a good fixture for every member', () => {
  for (const { name, good, schema } of contract)
    assert.equal(counterexamplesOf(schema, good).unreached, [], `${name}: no good fixture shows what these demand`)
})

test('have a bad fixture just beyond every rule', () => {
  for (const [path, text] of badTables())
    assert.is(readFileSync(path, 'utf8'), text, `${path}: npm run contract -- --fixtures adds what is missing`)
})

test('state the rules for names and reasons that the code checks', () => {
  const entry = contract.find(({ name }) => name === 'entry')
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
  return member === undefined ? instancePath : `${instancePath}/${member}`
}
