import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import * as z from 'zod'
import { codes, type Rendering, renderingOf, renderings } from '../../src/contract.ts'
import { aggregates } from '../../src/domain/aggregates.ts'
import { eventSchemas } from '../../src/domain/event-schemas.ts'

const test = suite('the rendering of Contract v1')

const types = aggregates.flatMap(({ events }) => Object.keys(events))

test('has a row for every event type, and no other', () => {
  assert.is(new Set(types).size, types.length)
  for (const { events, rendering } of aggregates) {
    assert.equal(Object.keys(rendering).sort(), Object.keys(events).sort())
  }
  assert.equal(Object.keys(renderings).sort(), [...types].sort())
  assert.equal(Object.keys(eventSchemas).sort(), [...types].sort())
})

test('stands in the contract as in the code', () => {
  const { renderings: rows } = parse(readFileSync('contract/v1/rendering.yaml', 'utf8'))
  assert.equal(
    rows,
    Object.entries(renderings).map(([type, row]) => ({ type, ...row })),
  )
})

test('is found by type; an unknown type is a defect', () => {
  assert.is(renderingOf('lock.lost'), renderings['lock.lost'])
  for (const type of ['lock.unheard_of', 'toString', '']) {
    assert.throws(
      () => renderingOf(type),
      (error: { code: string }) => error.code === 'INVARIANT_VIOLATED',
    )
  }
})

test('gives every type an action, an outcome, a severity and a target of Contract v1', () => {
  const allowed = {
    action_type: 'authz_decision db_read db_write export override policy_change promotion system tool_call',
    outcome: 'allow deny failure success',
    severity: 'critical error info warn',
    target_type: 'artifact export_bundle lock policy run system table tool turn',
  }
  for (const [type, row] of Object.entries(renderings)) {
    for (const [member, values] of Object.entries(allowed)) {
      const source = { ...row, ...row.target }[member as keyof Rendering] as Source | undefined
      const fits = (value: string) => values.split(' ').includes(value)
      if (source !== undefined) assert.ok(valuesOf(source, type).every(fits), `${type} ${member}`)
    }
  }
})

test('reads only members that the data of the type has', () => {
  for (const [type, row] of Object.entries(renderings)) {
    const { target } = row
    const sources: (Source | undefined)[] = [
      row.action_type,
      row.outcome,
      row.severity,
      ...('from' in target ? [target] : [target.name, target.operation]),
    ]
    const members = sources.flatMap((source) => (typeof source === 'object' ? [source.from] : []))
    for (const member of [...members, ...row.outcome_reason]) {
      assert.ok(Object.hasOwn(shapeOf(type), member), `${type} has no ${member}`)
    }
  }
})

test('says what to put where a member may be absent, but for the target', () => {
  for (const [type, { action_type, outcome, severity, target }] of Object.entries(renderings)) {
    const sources = [action_type, outcome, severity, ...('from' in target ? [] : [target.name, target.operation])]
    for (const source of sources) {
      if (typeof source === 'string' || source.otherwise !== undefined) continue
      const isOptional = shapeOf(type)[source.from]?.safeParse(undefined).success
      assert.is(isOptional, false, `${type} ${source.from}`)
    }
  }
})

test('renders what is of the ledger and of locks as system events', () => {
  for (const [type, { action_type }] of Object.entries(renderings)) {
    if (/^(?:ledger|lock)\./.test(type)) assert.is(action_type, 'system', type)
  }
})

test('renders a refusal as a deny where its code is one of permission', () => {
  const { outcome } = renderings['lock.refused']
  assert.ok(typeof outcome === 'object')
  assert.is(outcome.otherwise, 'failure')
  for (const [code, value] of Object.entries(outcome.cases ?? {})) {
    assert.is(value, 'deny')
    assert.is((codes as Record<string, { exit: number }>)[code]?.exit, 4, code)
  }
  assert.ok(Object.hasOwn(outcome.cases ?? {}, 'RELEASE_DENIED'))
})

test.run()

type Source = string | { from: string; cases?: Record<string, string>; otherwise?: string }

function shapeOf(type: string): Record<string, z.ZodType> {
  return (eventSchemas as unknown as Record<string, { shape: Record<string, z.ZodType> }>)[type]?.shape ?? {}
}

/** Every value that a source can come to. */
function valuesOf(source: Source, type: string): string[] {
  if (typeof source === 'string') return [source]
  const fallback = source.otherwise === undefined ? [] : [source.otherwise]
  if (source.cases !== undefined) return [...Object.values(source.cases), ...fallback]
  const schema = shapeOf(type)[source.from]
  assert.ok(schema, `${type} ${source.from}`)
  const json = z.toJSONSchema(schema)
  return [...((json.enum ?? [json.const]) as string[]), ...fallback]
}
