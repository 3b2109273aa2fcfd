import { isWellFormed } from '../canonical.ts'
import { limits } from '../limits.ts'
import { type ErrorIssueCode, errorIssue, type Issue, type IssueStage, pointerStep } from './issue.ts'
import { JsonReader } from './json-reader.ts'
import {
  canonicalJson,
  emptyObject,
  type JsonProblem,
  type JsonProblemKind,
  type JsonValue,
  jsonProblems,
  Unreadable,
} from './json-value.ts'

export type { JsonProblem, JsonValue } from './json-value.ts'

/**
 * A JSON object as the ledger keeps it: canonical by RFC 8785, integers only, within ±(2^53-1), no member twice, well
 * formed. `text` is what is hashed, without a newline at its end.
 */
export class JsonObject {
  readonly text: string
  readonly value: { readonly [key: string]: JsonValue }

  constructor(value: { readonly [key: string]: JsonValue }) {
    this.value = value
    this.text = canonicalJson(value as JsonValue)
  }
}

/** The object, or everything that keeps it from being one. */
export type ReadObject = { object: JsonObject } | { problems: readonly JsonProblem[] }

/** The object that bytes in UTF-8 are. */
export function objectFromBytes(bytes: Uint8Array): ReadObject {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return problem('byte_order_mark')
  try {
    return objectFromText(decoder.decode(bytes))
  } catch {
    return problem('not_utf8')
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The object that a text is. */
export function objectFromText(text: string): ReadObject {
  if (text.startsWith('\ufeff')) return problem('byte_order_mark')
  const reader = new JsonReader(text)
  try {
    return objectOf(reader.read(), reader.problems)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return { problems: reader.problems }
  }
}

/** The object that a value handed in by a program is: by the same rules, as far as a value can break them. */
export function objectFromValue(value: unknown): ReadObject {
  if (value instanceof JsonObject) return { object: value }
  const problems: JsonProblem[] = []
  try {
    return objectOf(copied(value, '', problems), problems)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return { problems }
  }
}

/** What keeps an object from being one, as issues at a location: a path or pointer, and the pointer into it. */
export function jsonIssues(
  problems: readonly JsonProblem[],
  { code = 'E_JSON_INVALID', location, stage = 'stage' }: JsonIssuePlace,
): Issue[] {
  return problems.map(({ pointer, problem }) =>
    errorIssue(code, {
      details: { pointer, problem },
      location: `${location}${pointer}`,
      message: `${jsonProblems[problem]}${pointer === '' ? '' : `, at ${pointer}`}`,
      stage,
    }),
  )
}

interface JsonIssuePlace {
  code?: ErrorIssueCode
  location: string
  stage?: IssueStage
}

function objectOf(value: JsonValue, problems: readonly JsonProblem[]): ReadObject {
  if (problems.length > 0) return { problems }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return problem('not_an_object')
  return { object: new JsonObject(value) }
}

function problem(kind: JsonProblemKind): ReadObject {
  return { problems: [{ pointer: '', problem: kind }] }
}

/** The value as it is now, whatever its owner does to it later. Members that are undefined are left out. */
function copied(value: unknown, pointer: string, problems: JsonProblem[], depth = 0): JsonValue {
  const note = (kind: JsonProblemKind, where = pointer): void => {
    if (problems.length < limits.jsonProblemsMax) problems.push({ pointer: where, problem: kind })
  }
  if (depth > limits.jsonDepthMax) {
    note('too_deep')
    throw new Unreadable('too_deep')
  }
  switch (typeof value) {
    case 'boolean':
      return value
    case 'string':
      if (!isWellFormed(value)) note('lone_surrogate')
      return value
    case 'number':
      if (!Number.isInteger(value) || Object.is(value, -0)) note('not_integer')
      else if (!Number.isSafeInteger(value)) note('unsafe_integer')
      return value
    case 'object': {
      if (value === null) return null
      if (Array.isArray(value)) {
        return Array.from(value, (item, index) => copied(item, pointer + pointerStep(index), problems, depth + 1))
      }
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) break
      const copy = emptyObject()
      for (const [key, member] of Object.entries(value)) {
        if (member === undefined) continue
        const where = pointer + pointerStep(key)
        if (!isWellFormed(key)) note('lone_surrogate', where)
        copy[key] = copied(member, where, problems, depth + 1)
      }
      return copy
    }
    default:
  }
  note('not_json')
  return null
}
