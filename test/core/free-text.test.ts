import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import { equal, ok } from 'uvu/assert'
import type * as z from 'zod'
import { eventSchemas } from '../../src/domain/event-schemas.ts'
import { textPlacesOf } from '../../src/domain/free-texts.ts'
import { erasedText, type TextPlaces } from '../../src/kernel/free-text.ts'
import { root as project } from '../runner.ts'

// fixtures/core/free-text.txt lists every text in the data of every event, and whether the hashed form of an entry has a
// commitment in its place. A new field must be added there, so somebody has to decide it.

interface Def {
  type: string
  element?: z.ZodType
  innerType?: z.ZodType
  options?: readonly z.ZodType[]
  shape?: Readonly<Record<string, z.ZodType>>
}

/** The paths of all texts in a schema, with * for the items of a list. Texts from a closed list are none. */
function* textsOf(schema: z.ZodType, path: string): Generator<[path: string, schema: z.ZodType]> {
  const def = schema.def as Def
  switch (def.type) {
    case 'string':
      yield [path, schema]
      return
    case 'array':
      yield* textsOf(def.element as z.ZodType, `${path}/*`)
      return
    case 'nullable':
    case 'optional':
      yield* textsOf(def.innerType as z.ZodType, path)
      return
    case 'object':
      for (const [name, member] of Object.entries(def.shape ?? {}).sort()) yield* textsOf(member, `${path}/${name}`)
      return
    case 'union':
      for (const option of def.options ?? []) yield* textsOf(option, path)
      return
    case 'boolean':
    case 'enum':
    case 'int':
    case 'literal':
    case 'number':
      return
    default:
      throw new Error(`${path} has the type ${def.type}, which this test does not know`)
  }
}

function isCommitted(places: TextPlaces | undefined, [first, ...rest]: readonly string[]): boolean {
  if (places === undefined || first === undefined) return places === 'text'
  if (places === 'text') return false
  if ('items' in places) return first === '*' && isCommitted(places.items, rest)
  return isCommitted(places.members.find(([name]) => name === first)?.[1], rest)
}

test('of every text of every event it is decided whether it is committed to or plain', () => {
  const lines = Object.entries(eventSchemas).flatMap(([type, schema]) =>
    [...new Map(textsOf(schema, ''))].map(([path]) => {
      const decided = isCommitted(textPlacesOf(type), path.split('/').slice(1)) ? 'committed' : 'plain'
      return `${decided.padEnd(9)} ${type} ${path}`
    }),
  )
  const listed = readFileSync(join(project, 'fixtures/core/free-text.txt'), 'utf8')
  equal(lines, listed.trimEnd().split('\n'))
})

test('the text that stands for an erased one is valid wherever a text can be erased', () => {
  for (const [type, schema] of Object.entries(eventSchemas)) {
    for (const [path, text] of textsOf(schema, '')) {
      if (isCommitted(textPlacesOf(type), path.split('/').slice(1))) ok(text.safeParse(erasedText).success, path)
    }
  }
})

test.run()
