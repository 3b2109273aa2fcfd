import type * as z from 'zod'

const marked = new WeakSet<z.ZodType>()

/**
 * Marks a text in the schema of an event as free text: words that a person or a tool wrote, or that a file contained.
 * The hashed form of an entry has a commitment in its place, so that the text can be erased (ADR 0068). Names, ids,
 * codes, states and digests are not free text, and neither is a text whose exact words a later decision compares. The
 * mark is on this schema, wherever it is used, and not on schemas that are made from it.
 */
export function freeText<Schema extends z.ZodType>(schema: Schema): Schema {
  marked.add(schema)
  return schema
}

/** Where a value has free text: everywhere, in the items of an array, or in members of an object. */
export type TextPlaces = 'text' | { items: TextPlaces } | { members: readonly (readonly [string, TextPlaces])[] }

/** The places of free text in a schema; undefined if it has none. */
export function textPlacesIn(schema: z.ZodType): TextPlaces | undefined {
  if (marked.has(schema)) return 'text'
  const def = schema.def as Def
  switch (def.type) {
    case 'array': {
      const items = textPlacesIn(def.element)
      return items && { items }
    }
    case 'nullable':
    case 'optional':
      return textPlacesIn(def.innerType)
    case 'object': {
      const members = Object.entries(def.shape).flatMap(([name, member]) => {
        const places = textPlacesIn(member)
        return places === undefined ? [] : [[name, places] as const]
      })
      return members.length === 0 ? undefined : { members }
    }
    default:
      return undefined
  }
}

/** The definitions of the schemas that the schemas of events are made of, as far as they contain others. */
type Def =
  | { type: 'array'; element: z.ZodType }
  | { type: 'nullable' | 'optional'; innerType: z.ZodType }
  | { type: 'object'; shape: Readonly<Record<string, z.ZodType>> }
  | { type: 'boolean' | 'enum' | 'int' | 'literal' | 'number' | 'string' | 'union' }

/** The paths (RFC 6901) of the free texts in a value. */
export function* textPathsIn(value: unknown, places: TextPlaces, path: string): Generator<string> {
  if (value === undefined || value === null) return
  if (places === 'text') yield path
  else if ('items' in places) {
    for (const [index, item] of (value as unknown[]).entries())
      yield* textPathsIn(item, places.items, `${path}/${index}`)
  } else {
    for (const [name, inner] of places.members) {
      yield* textPathsIn((value as Readonly<Record<string, unknown>>)[name], inner, `${path}/${name}`)
    }
  }
}

/** What readers see in the place of a text that was erased. Every schema of a free text accepts it. */
export const erasedText = '[erased]'
