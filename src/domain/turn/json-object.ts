import { canonicalText, isWellFormed } from '../../kernel/canonical.ts'
import { JsonReader } from '../../kernel/json-reader.ts'
import {
  emptyObject,
  type JsonProblem,
  type JsonProblemKind,
  type JsonValue,
  jsonProblems,
  pointerStep,
  Unreadable,
} from '../../kernel/json-value.ts'
import { limits } from '../../kernel/limits.ts'
import { type ErrorIssueCode, errorIssue, type Issue, type IssueStage } from './issue.ts'

/**
 * A JSON object in the form that the ledger keeps: canonical by RFC 8785, only integers within ±(2^53-1), no duplicate
 * members, well-formed text. `text` is hashed, without a newline at its end.
 */
export class JsonObject {
  readonly text: string
  readonly value: { readonly [key: string]: JsonValue }

  constructor(value: { readonly [key: string]: JsonValue }) {
    this.value = value
    this.text = canonicalText(value as JsonValue)
  }

  /** A service gets the value, as it does from a program that has no `JsonObject`. */
  toJSON(): { readonly [key: string]: JsonValue } {
    return this.value
  }
}

/** The object, or all problems that make it invalid. */
export type ReadObject = { object: JsonObject } | { problems: readonly JsonProblem[] }

/** Reads an object from UTF-8 bytes. */
export function objectFromBytes(bytes: Uint8Array): ReadObject {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return problem('byte_order_mark')
  try {
    return objectFromText(decoder.decode(bytes))
  } catch {
    return problem('not_utf8')
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads an object from a text. */
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

/** Makes an object from a value of a program. The same rules apply, where a value can break them. */
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

/** The problems of an object as issues. The location is a path or pointer, followed by the pointer into the object. */
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

/** A copy of the value, so that later changes by its owner have no effect. Undefined members are left out. */
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
