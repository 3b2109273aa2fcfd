import * as z from 'zod'
import type { JsonSchema } from '../api/json-schema.ts'
import type { Call, Session } from './session.ts'

/** What a client may assume about a call before it asks its user. A hint that is left out has its default. */
interface Annotations {
  readOnlyHint?: boolean
  destructiveHint?: boolean
  idempotentHint?: boolean
  openWorldHint: boolean
}

/** A tool for models: what it is for, its arguments, its answer, and the calls that it makes. */
export interface Tool {
  name: string
  /** One or two short sentences for a model: what it does, and when to use it. */
  about: string
  annotations: Annotations
  input: z.ZodObject
  output: z.ZodObject
  /** Whether the tool is offered only if the configuration says so. */
  isOptional: boolean
  run: (session: Session, input: never, call: Call) => Promise<object>
}

// No tool reaches anything beyond the ledger. The hints that are left out have the defaults of the protocol: what is
// not read-only may be destructive, and a repeated call may have another effect.

/** Nothing changes. */
export const reads: Annotations = { readOnlyHint: true, openWorldHint: false }
/** Something is added to the ledger, and a repeated call may add it again. */
export const appends: Annotations = { destructiveHint: false, openWorldHint: false }
/** A repeated call with the same arguments changes nothing more. */
export const appendsOnce: Annotations = { ...appends, idempotentHint: true }
/** Something ends, and a repeated call changes nothing more. */
export const ends: Annotations = { destructiveHint: true, idempotentHint: true, openWorldHint: false }

/** Declares a tool. The types of its arguments and its answer follow from the schemas. */
export function tool<Input extends z.ZodObject, Output extends z.ZodObject>(declared: {
  name: string
  about: string
  annotations: Annotations
  input: Input
  output: Output
  isOptional?: boolean
  run: (session: Session, input: z.output<Input>, call: Call) => Promise<z.input<Output>>
}): Tool {
  return { isOptional: false, ...declared }
}

/** Text that other agents wrote: names, reasons and notes. Every answer of a tool has them under this member only. */
export const untrustedTexts = z.record(z.string(), z.string())

/** The texts that are there. */
export function textsOf(texts: Readonly<Record<string, unknown>>): z.output<typeof untrustedTexts> {
  const given = Object.entries(texts).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
  return Object.fromEntries(given)
}

/**
 * A schema as JSON Schema 2020-12, short enough for a list of tools that a model reads. Patterns and bounds that only
 * programs need are left out, and so are the presence and bounds of members of answers: the ledger keeps to them.
 */
export function shortJsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  return shortened(z.toJSONSchema(schema, { io }) as JsonSchema, leftOut[io])
}

const ofPrograms = ['$schema', 'additionalProperties', 'format', 'maxLength', 'minLength', 'pattern', 'propertyNames']
const leftOut = {
  input: new Set([...ofPrograms, 'maxItems', 'minItems', 'minimum']),
  output: new Set([...ofPrograms, 'maxItems', 'maximum', 'minItems', 'minimum', 'required']),
}

/** A longer list of words in an answer explains itself. */
const wordsMax = 3

function shortened(json: JsonSchema, left: ReadonlySet<string>): JsonSchema {
  const { anyOf, items, properties, ...others } = json
  const kept = Object.entries(others).filter(([keyword, value]) => {
    const isFar = keyword === 'maximum' && Number(value) > 2 ** 32
    const isLong = keyword === 'enum' && left === leftOut.output && (value as unknown[]).length > wordsMax
    return !left.has(keyword) && !isFar && !isLong
  })
  const members = Object.entries((properties ?? {}) as Record<string, JsonSchema>)
  const inner = Object.fromEntries(members.map(([name, member]) => [name, shortened(member, left)]))
  return {
    ...Object.fromEntries(kept),
    ...(members.length === 0 ? {} : { properties: inner }),
    ...(items === undefined ? {} : { items: shortened(items as JsonSchema, left) }),
    ...(Array.isArray(anyOf) ? alternatives(anyOf.map((one: JsonSchema) => shortened(one, left))) : {}),
  }
}

/** Alternatives of plain types are a list of types. */
function alternatives(anyOf: JsonSchema[]): JsonSchema {
  const arePlain = anyOf.every((one) => Object.keys(one).length === 1 && typeof one.type === 'string')
  return arePlain ? { type: [...new Set(anyOf.map(({ type }) => type))] } : { anyOf }
}
