import * as z from 'zod'
import { type Path, type Place, SchemaPlaces } from './schema-places.ts'
import type { JsonSchema } from './schemas.ts'

/** The keywords of each fault of a bad fixture. The name of a fault may go on, as in `malformed-local-time`. */
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
  'too-few': ['minItems'],
  'too-many': ['maxItems'],
  forbidden: ['not'],
}

/** Keywords that reject no document by themselves. `format` always comes with a stricter pattern. */
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

/** No member of the contract has a slash or a tilde in its name, so pointers need no escapes. */
const pointerSchema = z.string().regex(/^(?:\/[^/~]+)*$/)
const rowShape = { of: z.string(), fault: z.string() }

/**
 * A bad fixture: the good fixture it is based on, its fault, and its single change. `repeat` points to a list, which
 * then has its first item `times` times.
 */
export const badRowSchema = z.union([
  z.strictObject({ ...rowShape, remove: pointerSchema }),
  z.strictObject({ ...rowShape, set: pointerSchema, value: z.unknown() }),
  z.strictObject({ ...rowShape, repeat: pointerSchema, times: z.int().min(1) }),
])
export type BadRow = z.infer<typeof badRowSchema>

export interface Counterexamples {
  /** One row per rule, which breaks that rule and no other. */
  rows: BadRow[]
  /** Places of the schema that no good document reaches, so their rules are untested. */
  unreached: string[]
}

/** One way to break a rule: a change of one member. */
interface Break {
  rule: string
  fault: string
  change: { remove: string } | { set: string; value: unknown } | { repeat: string; times: number }
}

/**
 * Breaks each rule of a schema once, in the first good document to which it applies. For a shared shape, the wrong
 * type is tried at every use and the other rules at the first use.
 */
export function counterexamplesOf(schema: JsonSchema, goods: ReadonlyMap<string, unknown>): Counterexamples {
  const places = new SchemaPlaces(schema)
  const broken = new Set<string>()
  const reached = new Set<string>()
  const rows: BadRow[] = []
  for (const [of, good] of goods) {
    for (const place of places.of(good)) {
      reached.add(place.pointer)
      for (const { change, fault, rule } of breaksOf(place, places)) {
        const isNew = !broken.has(`${place.pointer}/${rule}`)
        broken.add(`${place.pointer}/${rule}`)
        if (isNew) rows.push({ of, fault, ...change })
      }
      // The wrong type was already tried here, for all alternatives and for the referenced shape.
      for (const pointer of sameValueBelow(place)) broken.add(`${pointer}/type`)
    }
  }
  return { rows, unreached: places.pointers.filter((pointer) => !reached.has(pointer)) }
}

/** All ways to break the rules at one place. */
function* breaksOf({ node, path }: Place, places: SchemaPlaces): Generator<Break> {
  for (const [keyword, rule] of Object.entries(node)) {
    if (silent.includes(keyword) || isSaidElsewhere(keyword, node)) continue
    if (keyword === 'required') {
      for (const name of rule as string[])
        yield { rule: `required/${name}`, fault: 'missing', change: { remove: pointerTo(...path, name) } }
    } else if (keyword === 'additionalProperties') {
      const change = { set: pointerTo(...path, 'unexpected'), value: 'unknown' }
      if (rule === false) yield { rule: keyword, fault: 'unknown', change }
    } else if (keyword === 'maxItems') {
      const change = { repeat: pointerTo(...path), times: Number(rule) + 1 }
      yield { rule: keyword, fault: 'too-many', change }
    } else {
      const isTyped = ['$ref', 'anyOf', 'oneOf'].includes(keyword)
      const wrong = isTyped ? breaking('type', places.typesOf(node)) : breaking(keyword, rule)
      const fault = faultOf(isTyped ? 'type' : keyword)
      yield { rule: keyword, fault, change: { set: pointerTo(...path), value: wrong } }
    }
  }
}

function pointerTo(...path: Path): string {
  return path.map((step) => `/${step}`).join('')
}

/** The values of an enumeration imply its type. JSON cannot hold integers beyond 2^53 - 1 exactly. */
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

/** An impossible date, a control character and a lone surrogate: each pattern rejects one of them. */
const malformed = ['2026-02-29T12:00:00.000Z', '\u0007', '\ud800']

/** Texts that no locator and no stem may contain. */
const forbidden = ['data:,text', 'a/../b']

/** A value that breaks one rule. A list that is too short is the empty list. */
function breaking(keyword: string, rule: unknown): unknown {
  switch (keyword) {
    case 'type':
      return [rule].flat().some((type) => ['string', 'object', 'array'].includes(String(type))) ? 7 : 'text'
    case 'const':
      return typeof rule === 'boolean' ? !rule : 'other'
    case 'enum':
      return ['other', 'unheard-of'].find((word) => !(rule as unknown[]).includes(word))
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
    case 'not':
      return forbidden.find((text) => new RegExp(String((rule as JsonSchema).pattern), 'u').test(text))
    default:
      return []
  }
}
