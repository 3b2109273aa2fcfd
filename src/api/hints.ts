import * as z from 'zod'
import { type Hint, words } from './words.ts'

/**
 * Hints about the members of an object schema, where they differ from the hint of that word in general. They are kept
 * here and not in `.meta` or `.describe`: zod writes all of `.meta` into JSON Schema, and a description of an inner
 * schema is lost behind `.optional` and `.default`. Keyed by the object, since one schema serves many members.
 */
export const hints = z.registry<{ [member: string]: Partial<Hint> }>()

/** The hint about a member of an object schema. */
export function hintOf(object: z.ZodType, member: string): Hint | undefined {
  const general: Hint | undefined = Object.hasOwn(words, member) ? words[member] : undefined
  const own = hints.get(object)?.[member]
  return own === undefined && general === undefined ? undefined : { about: '', ...general, ...own }
}

/** The members of an object schema with their schemas; empty for any other schema. */
export function membersOf(schema: z.ZodType): [name: string, member: z.ZodType][] {
  return schema instanceof z.ZodObject ? Object.entries<z.ZodType>(schema.shape) : []
}

/** The schema inside all wrappers: the schema that is parsed on input, or its result on output. */
export function unwrapped(schema: z.ZodType, io: 'input' | 'output'): z.ZodType {
  let inner = schema
  for (let next: z.ZodType | undefined = schema; next !== undefined; next = insideOf(inner, io)) inner = next
  return inner
}

function insideOf(schema: z.ZodType, io: 'input' | 'output'): z.ZodType | undefined {
  // The first half of `z.preprocess` is a transform, which does not describe the input.
  if (schema instanceof z.ZodPipe)
    return (io === 'input' && !(schema.in instanceof z.ZodTransform) ? schema.in : schema.out) as z.ZodType
  return 'innerType' in schema.def ? (schema.def.innerType as z.ZodType) : undefined
}
