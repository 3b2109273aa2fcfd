import * as z from 'zod'
import { type Path, type Place, SchemaPlaces } from './schema-places.ts'
import type { JsonSchema } from './schemas.ts'

/** The keywords that a bad fixture's fault speaks of. More may follow it: `malformed-local-time`. */
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

/** No member that the contract names has a slash or a tilde, so nothing here escapes them. */
const pointerSchema = z.string().regex(/^(?:\/[^/~]+)*$/)
const rowShape = { of: z.string(), fault: z.string() }

/**
 * A bad fixture: the good one that it is made of, the fault it has then, and the single change. `repeat` names a
 * list whose first item stands there `times` times.
 */
export const badRowSchema = z.union([
  z.strictObject({ ...rowShape, remove: pointerSchema }),
  z.strictObject({ ...rowShape, set: pointerSchema, value: z.unknown() }),
  z.strictObject({ ...rowShape, repeat: pointerSchema, times: z.int().min(1) }),
])
export type BadRow = z.infer<typeof badRowSchema>

export interface Counterexamples {
  /** One for each rule, that breaks it and no other. */
  rows: BadRow[]
  /** Places of the schema that no good document reaches, so that nothing shows what they demand. */
  unreached: string[]
}

/** One way to break a rule: what stands at a member instead of what should. */
interface Break {
  rule: string
  fault: string
  change: { remove: string } | { set: string; value: unknown } | { repeat: string; times: number }
}

/**
 * Breaks each rule of a schema once, in the first good document that it applies to. The wrong type is tried at
 * every use of a shared shape, its other rules at the first.
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
      // The wrong type was tried here already, for all alternatives and for the shape that is named.
      for (const pointer of sameValueBelow(place)) broken.add(`${pointer}/type`)
    }
  }
  return { rows, unreached: places.pointers.filter((pointer) => !reached.has(pointer)) }
}

/** All ways to break the rules that stand at one place. */
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

/** What no locator may hold, and no stem. */
const forbidden = ['data:,text', 'a/../b']

/** A value that breaks one rule; of a list that is too short, the empty one. */
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
