import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import * as z from 'zod'
import { ajvOf } from '../../contract/schema-places.ts'
import { hintOf, hints, membersOf, unwrapped } from '../../src/api/hints.ts'
import { answerShapes, documents, inputShapes, type JsonSchema, jsonSchemaOf } from '../../src/api/json-schema.ts'
import { kinds } from '../../src/api/kinds.ts'
import { errorsOf, formOf, formsOf, grantsOf } from '../../src/api/operation.ts'
import { everyOperation, operations } from '../../src/api/operations.ts'
import { codes } from '../../src/errors.ts'
import { lineOf } from '../../src/kernel/ids.ts'
import { root } from '../runner.ts'
import { importsIn, withoutComments } from '../tidy.ts'

const tables = suite('the tables of operations')

tables('give every operation one kind, the same as the map of kinds does', () => {
  const ofTables = Object.entries(operations).map(([noun, table]) => {
    const verbs = Object.entries<{ kind: string }>(table).map(([verb, { kind }]) => [verb, kind])
    return [noun, Object.fromEntries(verbs)]
  })
  equal(Object.fromEntries(ofTables), kinds)
})

tables('can be listed without loading schemas: the map of kinds imports only types', () => {
  const source = withoutComments(readFileSync(join(root, 'src/api/kinds.ts'), 'utf8'))
  ok(importsIn(source).length > 0)
  equal([...source.matchAll(/^import (?!type )/gm)], [])
})

tables('state a summary, known errors once each, and who may call', () => {
  for (const { facts, name } of everyOperation()) {
    ok(/^[A-Z].*\.$/.test(facts.summary) && facts.summary.length <= 90, `${name}: ${facts.summary}`)
    is(new Set(facts.errors).size, facts.errors.length, `${name} lists an error twice`)
    for (const code of errorsOf(facts)) ok(codes[code], `${name}: ${code}`)
    for (const form of formsOf(facts).keys()) ok(grantsOf(facts, form).length > 0, `${name} ${form}: nobody may call`)
  }
})

tables('choose the form of an input by the member that is present', () => {
  for (const { facts, name } of everyOperation()) {
    for (const [form, schema] of formsOf(facts)) {
      if (form === '') continue
      is(formOf(facts, { [form]: 'x' }), schema, name)
      ok(
        membersOf(unwrapped(schema, 'input')).some(([member]) => member === form),
        `${name}: no member ${form}`,
      )
    }
  }
  is(formOf(operations.locks.acquire, { holder: 'x' }), undefined)
  is(formOf(operations.locks.acquire, null), undefined)
})

tables('wait only where a call may take long', () => {
  const { acquire, status } = operations.locks
  is(acquire.waits?.({ name: 'x', holder: 'y', wait_s: 1 }), true)
  is(acquire.waits?.({ name: 'x', holder: 'y', wait_s: 0 }), false)
  is(acquire.waits?.({ target_name: 'x', run_id: 'y' }), false)
  is(status.waits, undefined)
})
tables.run()

const schemas = suite('JSON Schema of the operations')

schemas('can be made of every input and output, and is valid', () => {
  const ajv = ajvOf()
  const isValid = (json: JsonSchema, name: string) => {
    ok(ajv.validateSchema(json), `${name}: ${ajv.errorsText()}`)
    const named = Object.keys((json.$defs ?? {}) as object).map((id) => `#/$defs/${id}`)
    for (const [, ref = ''] of JSON.stringify(json).matchAll(/"\$ref":"([^"]*)"/g))
      ok(named.includes(ref), `${name}: ${ref}`)
  }
  for (const { facts, name } of everyOperation()) {
    for (const [form, schema] of formsOf(facts)) {
      const plain = z.toJSONSchema(schema, { io: 'input' })
      is(plain.type, 'object', `${name} ${form}`)
      isValid(jsonSchemaOf(schema, 'input'), `${name} ${form}`)
    }
    ok(z.toJSONSchema(facts.output, { io: 'output' }))
    isValid(jsonSchemaOf(facts.output, 'output'), name)
  }
})

schemas('describe every member of every input and output, without hints', () => {
  const undescribed: string[] = []
  for (const { facts, name } of everyOperation()) {
    const places: [string, object][] = [...formsOf(facts)].map(([form, schema]) => [
      form,
      jsonSchemaOf(schema, 'input'),
    ])
    if (!Object.values(documents).includes(unwrapped(facts.output, 'output')))
      places.push(['answer', jsonSchemaOf(facts.output, 'output')])
    for (const [id, schema] of Object.entries({ ...inputShapes, ...answerShapes }))
      places.push([id, jsonSchemaOf(schema, 'input')])
    for (const [where, json] of places) {
      ok(!/"(?:about|flag|path|secret|unit)":(?!\{)/.test(JSON.stringify(json)), `${name} ${where}`)
      for (const [member, { description }] of Object.entries(propertiesOf(json)))
        if (!description?.endsWith('.')) undescribed.push(`${name} ${where} ${member}`)
    }
  }
  equal(undescribed, [])
})

schemas('name shared shapes once', () => {
  const { $defs } = jsonSchemaOf(operations.runs.tree.output, 'output') as { $defs: object }
  equal(
    Object.keys($defs)
      .filter((name) => !name.startsWith('__'))
      .sort(),
    ['artifact_ref', 'error', 'run_record', 'run_tree'],
  )
  const names = [documents, inputShapes, answerShapes].flatMap((shapes) => Object.keys(shapes))
  is(new Set(names).size, names.length)
})
schemas.run()

type Property = { description?: string }
function propertiesOf(json: object): Record<string, Property> {
  const {
    $defs,
    $ref,
    properties = {},
  } = json as {
    $defs?: Record<string, object>
    $ref?: string
    properties?: Record<string, Property>
  }
  return $ref === undefined ? properties : propertiesOf($defs?.[$ref.slice('#/$defs/'.length)] ?? {})
}

const hinting = suite('hints')

hinting('are found behind every wrapper, where a description would be lost', () => {
  const inner = z.strictObject({ folder: lineOf(10) })
  for (const wrapped of [
    inner.optional(),
    inner.nullable(),
    inner.default({ folder: 'x' }),
    inner.exactOptional(),
    inner.readonly(),
    inner.optional().nullable().default(null),
    inner.transform(({ folder }) => folder),
    z.preprocess((input) => input, inner),
  ]) {
    is(unwrapped(wrapped, 'input'), inner, wrapped.type)
  }
  is(hintOf(inner, 'folder')?.path, true)
  is(hintOf(inner, 'constructor'), undefined)
})

hinting('of a schema take precedence over hints of the word', () => {
  const own = z.strictObject({ folder: lineOf(10), wait_s: z.int() })
  hints.add(own, { folder: { about: 'Another folder.' } })
  equal(hintOf(own, 'folder'), { about: 'Another folder.', path: true })
  is(hintOf(own, 'wait_s')?.unit, 's')
})
hinting.run()
