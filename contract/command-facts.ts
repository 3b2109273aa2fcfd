import * as z from 'zod'
import { hintOf, membersOf, unwrapped } from '../src/api/hints.ts'
import { type AnyFacts, errorsOf, formsOf } from '../src/api/operation.ts'
import { everyOperation } from '../src/api/operations.ts'
import type { CallFacts, Member, Value } from '../src/cli/facts.ts'

/** Where they stand: the command imports them. */
export const commandFactsPath = 'src/cli/facts.json'

/** The facts about all operations that the command starts with, as JSON. */
export function commandFacts(): string {
  const facts = Object.fromEntries(everyOperation().map(({ facts, name }) => [name, factsFrom(facts)]))
  return `${JSON.stringify(facts, null, 1)}\n`
}

function factsFrom(facts: AnyFacts): CallFacts {
  const forms = [...formsOf(facts)].map(([form, schema]) => [form, membersFrom(unwrapped(schema, 'input'))])
  return { kind: facts.kind, summary: facts.summary, errors: errorsOf(facts), forms: Object.fromEntries(forms) }
}

/** The caller of the command is `--actor`, for every verb. */
function membersFrom(object: z.ZodType): Member[] {
  return membersOf(object)
    .filter(([name]) => name !== 'actor')
    .map(([name, schema]) => {
      const { about = '', flag, path, unit } = hintOf(object, name) ?? {}
      const fallback = schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined
      return {
        name,
        about,
        ...(flag === undefined ? {} : { flag }),
        ...(unit === undefined ? {} : { unit }),
        ...(path ? { isPath: true } : {}),
        ...(schema._zod.optin === undefined ? {} : { isOptional: true }),
        ...(fallback === undefined || typeof fallback === 'object' ? {} : { default: fallback }),
        ...valueFrom(unwrapped(schema, 'input')),
      }
    })
}

function valueFrom(schema: z.ZodType): Value {
  const choices = choicesOf(schema)
  if (choices !== undefined) return { type: 'text', choices }
  if (schema instanceof z.ZodBoolean) return { type: 'boolean' }
  if (schema instanceof z.ZodNumber) return { type: 'number', ...rangeOf(schema) }
  if (schema instanceof z.ZodArray) {
    return { type: 'list', element: valueFrom(unwrapped(schema.element as z.ZodType, 'input')) }
  }
  if (schema instanceof z.ZodObject) return { type: 'object', members: membersFrom(schema) }
  return { type: schema instanceof z.ZodString ? 'text' : 'other' }
}

/** The closed list of values of a schema: an enumeration, or a union of enumerations and single values. */
function choicesOf(schema: z.ZodType): readonly string[] | undefined {
  if (schema instanceof z.ZodEnum) return schema.options.map(String)
  if (schema instanceof z.ZodLiteral) return [...schema.values].map(String)
  if (!(schema instanceof z.ZodUnion)) return undefined
  const lists = schema.options.map((option) => choicesOf(unwrapped(option as z.ZodType, 'input')))
  return lists.includes(undefined) ? undefined : lists.flatMap((list) => list ?? [])
}

function rangeOf({ maxValue, minValue }: z.ZodNumber): Pick<Value, 'max' | 'min'> {
  return {
    ...(minValue === null || minValue <= Number.MIN_SAFE_INTEGER ? {} : { min: minValue }),
    ...(maxValue === null || maxValue >= Number.MAX_SAFE_INTEGER ? {} : { max: maxValue }),
  }
}
