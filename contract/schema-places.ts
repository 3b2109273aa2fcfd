import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { JsonSchema } from './schemas.ts'

/** A validator with schemas of the contract, each by its `$id`. */
export function ajvOf(...schemas: JsonSchema[]): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, strictRequired: false, strictTypes: false, strictSchema: true })
  formats.default(ajv)
  return ajv.addSchema(schemas)
}

export type Path = readonly (string | number)[]

/** One place of a schema and the value at that place in a document. */
export interface Place {
  node: JsonSchema
  pointer: string
  value: unknown
  path: Path
}

/** Walks a schema together with a document that it accepts. */
export class SchemaPlaces {
  readonly #schema: JsonSchema
  readonly #ajv: Ajv2020

  constructor(schema: JsonSchema) {
    this.#schema = schema
    this.#ajv = ajvOf(schema)
  }

  /** The pointers of all subschemas that restrict a document. */
  get pointers(): string[] {
    return pointersBelow(this.#schema, '#')
  }

  /** Every place that restricts the document or a part of it. Of alternatives, only those that accept the value. */
  *of(document: unknown): Generator<Place> {
    yield* this.#from({ node: this.#schema, pointer: '#', value: document, path: [] })
  }

  *#from(place: Place): Generator<Place> {
    yield place
    for (const below of [...this.#alike(place), ...inside(place)]) yield* this.#from(below)
  }

  /** Places below that restrict the same value. */
  *#alike({ node, path, pointer, value }: Place): Generator<Place> {
    if (typeof node.$ref === 'string') yield { node: this.#at(node.$ref), pointer: node.$ref, value, path }
    for (const [keyword, branches] of listsOf(node)) {
      for (const [index, branch] of branches.entries()) {
        const below = `${pointer}/${keyword}/${index}`
        if (keyword === 'allOf' || this.#accepts(below, value)) yield { node: branch, pointer: below, value, path }
      }
    }
    if (node.then !== undefined && this.#accepts(`${pointer}/if`, value))
      yield { node: node.then as JsonSchema, pointer: `${pointer}/then`, value, path }
  }

  #accepts(pointer: string, value: unknown): boolean {
    return this.#ajv.getSchema(`${this.#schema.$id}${pointer}`)?.(value) === true
  }

  /** The types that a subschema accepts, including those of its alternatives and of the referenced shape. */
  typesOf(node: JsonSchema): string[] {
    if (typeof node.$ref === 'string') return this.typesOf(this.#at(node.$ref))
    if (node.type !== undefined) return [node.type as string | string[]].flat()
    return listsOf(node).flatMap(([, branches]) => branches.flatMap((branch) => this.typesOf(branch)))
  }

  #at(ref: string): JsonSchema {
    return (this.#schema.$defs as Record<string, JsonSchema>)[ref.slice('#/$defs/'.length)] ?? {}
  }
}

/** Places below that restrict a part of the value. */
function* inside({ node, path, pointer, value }: Place): Generator<Place> {
  if (Array.isArray(value)) {
    if (node.items !== undefined && value.length > 0)
      yield { node: node.items as JsonSchema, pointer: `${pointer}/items`, value: value[0], path: [...path, 0] }
  } else if (value !== null && typeof value === 'object') {
    const members = new Map(Object.entries(value))
    for (const [name, member] of Object.entries((node.properties ?? {}) as Record<string, JsonSchema>)) {
      if (members.has(name))
        yield {
          node: member,
          pointer: `${pointer}/properties/${name}`,
          value: members.get(name),
          path: [...path, name],
        }
    }
  }
}

function pointersBelow(node: JsonSchema, pointer: string): string[] {
  const named = ['properties', '$defs'].flatMap((keyword) =>
    Object.entries((node[keyword] ?? {}) as Record<string, JsonSchema>).map(
      ([name, member]) => [`${keyword}/${name}`, member] as const,
    ),
  )
  const listed = listsOf(node).flatMap(([keyword, branches]) =>
    branches.map((branch, index) => [`${keyword}/${index}`, branch] as const),
  )
  const single = ['then', 'items'].flatMap((keyword) =>
    node[keyword] === undefined ? [] : [[keyword, node[keyword] as JsonSchema] as const],
  )
  const below = [...named, ...listed, ...single]
  return [pointer, ...below.flatMap(([step, member]) => pointersBelow(member, `${pointer}/${step}`))]
}

function listsOf(node: JsonSchema): [keyword: string, branches: JsonSchema[]][] {
  return ['allOf', 'anyOf', 'oneOf'].flatMap((keyword): [string, JsonSchema[]][] =>
    node[keyword] === undefined ? [] : [[keyword, node[keyword] as JsonSchema[]]],
  )
}
