import { type Path, type Place, SchemaPlaces } from './schema-places.ts'
import type { JsonSchema } from './schemas.ts'

/** The keyword that the end of a bad fixture's name speaks of. More may follow it: `malformed-local-time`. */
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

/** Keywords that say nothing of a document by themselves; `format` stands beside a pattern that says more. */
const silent = [
  '$schema',
  '$id',
  '$defs',
  'title',
  'description',
  'allOf',
  'if',
  'then',
  'items',
  'properties',
  'format',
]

export interface Counterexamples {
  /** Documents that break one rule each, by name: `<good document>--<member>--<fault>`. */
  documents: Map<string, unknown>
  /** Places of the schema that no good document reaches, so that nothing shows what they demand. */
  unreached: string[]
}

/** One way to break a rule: what stands at a member instead of what should; `absent` for nothing. */
interface Break {
  rule: string
  fault: string
  member: Path
  value: unknown
}

const absent = Symbol('absent')

/**
 * Breaks each rule of a schema once, in the first good document that it applies to. The wrong type is tried at
 * every use of a shared shape, its other rules at the first.
 */
export function counterexamplesOf(schema: JsonSchema, goods: ReadonlyMap<string, unknown>): Counterexamples {
  const places = new SchemaPlaces(schema)
  const broken = new Set<string>()
  const reached = new Set<string>()
  const documents = new Map<string, unknown>()
  for (const [base, good] of goods) {
    for (const place of places.of(good)) {
      reached.add(place.pointer)
      for (const { fault, member, rule, value } of breaksOf(place, places)) {
        const isNew = !broken.has(`${place.pointer}/${rule}`)
        broken.add(`${place.pointer}/${rule}`)
        if (isNew) documents.set(`${base}--${member.join('.') || 'document'}--${fault}`, changed(good, member, value))
      }
      // The wrong type was tried here already, for all alternatives and for the shape that is named.
      for (const pointer of sameValueBelow(place)) broken.add(`${pointer}/type`)
    }
  }
  return { documents, unreached: places.pointers.filter((pointer) => !reached.has(pointer)) }
}

/** All ways to break the rules that stand at one place. */
function* breaksOf({ node, path, value }: Place, places: SchemaPlaces): Generator<Break> {
  for (const [keyword, rule] of Object.entries(node)) {
    if (silent.includes(keyword) || isSaidElsewhere(keyword, node)) continue
    if (keyword === 'required') {
      for (const name of rule as string[])
        yield { rule: `required/${name}`, fault: 'missing', member: [...path, name], value: absent }
    } else if (keyword === 'additionalProperties') {
      if (rule === false) yield { rule: keyword, fault: 'unknown', member: [...path, 'unexpected'], value: 'unknown' }
    } else if (['$ref', 'anyOf', 'oneOf'].includes(keyword)) {
      const wrong = breaking('type', places.typesOf(node), value)
      yield { rule: keyword, fault: 'wrong-type', member: path, value: wrong }
    } else {
      yield { rule: keyword, fault: faultOf(keyword), member: path, value: breaking(keyword, rule, value) }
    }
  }
}

/** The values of an enumeration have its type; integers past 2^53 - 1 are none that JSON could hold exactly. */
function isSaidElsewhere(keyword: string, node: JsonSchema): boolean {
  if (keyword === 'type') return node.enum !== undefined || node.const !== undefined
  return node[keyword] === Number.MAX_SAFE_INTEGER
}

function sameValueBelow({ node, pointer }: Place): string[] {
  const branches = ['anyOf', 'oneOf'].flatMap((keyword) =>
    ((node[keyword] ?? []) as unknown[]).map((_, index) => `${pointer}/${keyword}/${index}`),
  )
  return typeof node.$ref === 'string' ? [node.$ref, ...branches] : branches
}

function faultOf(keyword: string): string {
  const fault = Object.entries(keywordsByFault).find(([, keywords]) => keywords.includes(keyword))?.[0]
  if (fault === undefined) throw new Error(`contract/counterexamples.ts does not know how to break ${keyword}`)
  return fault
}

/** A day that never was, a bell and half a character: one of these breaks any pattern there is. */
const malformed = ['2026-02-29T12:00:00.000Z', '\u0007', '\ud800']

/** A value that breaks one rule. */
function breaking(keyword: string, rule: unknown, value: unknown): unknown {
  switch (keyword) {
    case 'type':
      return [rule].flat().some((type) => ['string', 'object', 'array'].includes(String(type))) ? 7 : 'text'
    case 'const':
      return typeof rule === 'boolean' ? !rule : 'other'
    case 'enum':
      return 'other'
    case 'pattern':
      return malformed.find((text) => !new RegExp(String(rule), 'u').test(text))
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

/** A copy of the document with another value at one member. */
function changed(document: unknown, path: Path, value: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  const copy = structuredClone(document) as Record<string | number, unknown>
  if (rest.length > 0) copy[key] = changed(copy[key], rest, value)
  else if (value === absent) delete copy[key]
  else copy[key] = value
  return copy
}
