import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { JsonSchema } from './schemas.ts'

/** A validator of one of the contract's schemas. */
export function ajvOf(schema: JsonSchema): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, strictRequired: false, strictTypes: false, strictSchema: true })
  formats.default(ajv)
  return ajv.addSchema(schema)
}

/** The keyword that an ending of a bad fixture's name speaks of. More may follow it: `malformed-local-time`. */
export const keywordsByFault: Readonly<Record<string, readonly string[]>> = {
  missing: ['required'],
  unknown: ['additionalProperties'],
  'wrong-type': ['type'],
  'wrong-value': ['const', 'enum'],
  malformed: ['pattern', 'format'],
  'too-short': ['minLength'],
  'too-long': ['maxLength'],
  'too-small': ['minimum'],
  'too-large': ['maximum'],
  'too-many': ['maxItems'],
}

type Path = readonly (string | number)[]
type Change = (parent: Record<string | number, unknown>, key: string | number) => void

/** One place of a schema and what stands there in a good document. */
interface Place {
  node: JsonSchema
  pointer: string
  value: unknown
  path: Path
}

export interface Counterexamples {
  /** Documents that break one rule each, by name: `<good document>--<member>--<fault>`. */
  documents: Map<string, unknown>
  /** Places of the schema that no good document reaches, so that nothing shows what they demand. */
  unreached: string[]
}

/**
 * Breaks each rule of a schema once, in the first good document that it applies to. The wrong type is tried at
 * every use of a shared shape, its other rules at the first.
 */
export function counterexamplesOf(schema: JsonSchema, goods: ReadonlyMap<string, unknown>): Counterexamples {
  const ajv = ajvOf(schema)
  const broken = new Set<string>()
  const reached = new Set<string>()
  const documents = new Map<string, unknown>()
  for (const [base, good] of goods) visit({ node: schema, pointer: '#', value: good, path: [] }, base, good)
  return { documents, unreached: placesOf(schema, '#').filter((pointer) => !reached.has(pointer)) }

  function visit(place: Place, base: string, good: unknown): void {
    const { node, path, pointer, value } = place
    reached.add(pointer)
    const breakRule = (rule: string, fault: string, change: Change, member: Path = path) => {
      if (broken.has(`${pointer}/${rule}`)) return
      broken.add(`${pointer}/${rule}`)
      documents.set(`${base}--${member.join('.') || 'document'}--${fault}`, changed(good, member, change))
    }
    for (const [keyword, rule] of Object.entries(node)) {
      if (faultOf(keyword) !== undefined) {
        breakRule(keyword, faultOf(keyword) ?? '', put(breaking(keyword, rule, value)))
      } else if (keyword === 'required') {
        for (const name of rule as string[])
          breakRule(`required/${name}`, 'missing', (parent, key) => delete parent[key], [...path, name])
      } else if (keyword === 'additionalProperties') {
        if (rule === false) breakRule(keyword, 'unknown', put('unknown'), [...path, 'unexpected'])
      } else if (keyword === '$ref' || keyword === 'anyOf' || keyword === 'oneOf') {
        breakRule(keyword, 'wrong-type', put(breaking('type', typesOf(node), value)))
      } else if (!handled.includes(keyword)) {
        throw new Error(`${pointer}: the keyword ${keyword} is not known here`)
      }
    }
    for (const child of childrenOf(place)) visit(child, base, good)
  }

  function* childrenOf({ node, path, pointer, value }: Place): Generator<Place> {
    if (typeof node.$ref === 'string') yield { node: at(node.$ref), pointer: node.$ref, value, path }
    for (const [keyword, at] of listsOf(node)) {
      for (const [index, branch] of at.entries()) {
        const place = { node: branch, pointer: `${pointer}/${keyword}/${index}`, value, path }
        if (keyword === 'allOf' || matches(place.pointer, value)) yield place
      }
    }
    if (node.then !== undefined && matches(`${pointer}/if`, value))
      yield { node: node.then as JsonSchema, pointer: `${pointer}/then`, value, path }
    if (Array.isArray(value) && node.items !== undefined && value.length > 0)
      yield { node: node.items as JsonSchema, pointer: `${pointer}/items`, value: value[0], path: [...path, 0] }
    if (!isObject(value)) return
    for (const [name, member] of Object.entries((node.properties ?? {}) as Record<string, JsonSchema>)) {
      if (Object.hasOwn(value, name))
        yield { node: member, pointer: `${pointer}/properties/${name}`, value: value[name], path: [...path, name] }
    }
  }

  function matches(pointer: string, value: unknown): boolean {
    return ajv.validate({ $ref: `${schema.$id}${pointer}` }, value) === true
  }

  function typesOf(node: JsonSchema): string[] {
    if (typeof node.$ref === 'string') return typesOf(at(node.$ref))
    const branches = listsOf(node).flatMap(([, branches]) => branches)
    return node.type === undefined ? branches.flatMap(typesOf) : [node.type as string | string[]].flat()
  }

  function at(ref: string): JsonSchema {
    return (schema.$defs as Record<string, JsonSchema>)[ref.slice('#/$defs/'.length)] ?? {}
  }
}

/** Keywords that say nothing of a document by themselves; `format` stands beside a pattern that says more. */
const handled = ['$schema', '$id', '$defs', 'title', 'description', 'allOf', 'if', 'then', 'items', 'properties', 'format']

function faultOf(keyword: string): string | undefined {
  if (keyword === 'required' || keyword === 'additionalProperties' || keyword === 'format') return undefined
  return Object.entries(keywordsByFault).find(([, keywords]) => keywords.includes(keyword))?.[0]
}

/** A value that breaks one rule. */
function breaking(keyword: string, rule: unknown, value: unknown): unknown {
  switch (keyword) {
    case 'type':
      return [rule].flat().includes('string') || !isScalar(value) ? 7 : 'text'
    case 'const':
      return typeof rule === 'boolean' ? !rule : 'other'
    case 'enum':
      return 'other'
    case 'pattern':
      return String(rule).includes('-02-29') ? '2026-02-29T12:00:00.000Z' : '\u0007'
    case 'minLength':
      return 'x'.repeat(Number(rule) - 1)
    case 'maxLength':
      return 'x'.repeat(Number(rule) + 1)
    case 'minimum':
      return Number(rule) - 1
    case 'maximum':
      return Number(rule) + 1
    default:
      return Array.from({ length: Number(rule) + 1 }, () => (value as unknown[])[0])
  }
}

function put(value: unknown): Change {
  return (parent, key) => {
    parent[key] = value
  }
}

/** A copy of the document, changed at one place. */
export function changed(document: unknown, path: Path, change: Change): unknown {
  const holder = { document: structuredClone(document) }
  let parent = holder as Record<string | number, unknown>
  let key: string | number = 'document'
  for (const next of path) {
    parent = parent[key] as typeof parent
    key = next
  }
  change(parent, key)
  return holder.document
}

/** The pointers of all subschemas that say something of a document. */
function placesOf(node: JsonSchema, pointer: string): string[] {
  const named = (keyword: string) =>
    Object.entries((node[keyword] ?? {}) as Record<string, JsonSchema>).flatMap(([name, member]) =>
      placesOf(member, `${pointer}/${keyword}/${name}`),
    )
  const listed = listsOf(node).flatMap(([keyword, branches]) =>
    branches.flatMap((branch, index) => placesOf(branch, `${pointer}/${keyword}/${index}`)),
  )
  const single = ['then', 'items'].flatMap((keyword) =>
    node[keyword] === undefined ? [] : placesOf(node[keyword] as JsonSchema, `${pointer}/${keyword}`),
  )
  return [pointer, ...named('properties'), ...named('$defs'), ...listed, ...single]
}

function listsOf(node: JsonSchema): [keyword: string, branches: JsonSchema[]][] {
  return ['allOf', 'anyOf', 'oneOf'].flatMap((keyword): [string, JsonSchema[]][] =>
    node[keyword] === undefined ? [] : [[keyword, node[keyword] as JsonSchema[]]],
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== 'object'
}
