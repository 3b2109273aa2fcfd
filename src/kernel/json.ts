import { LockstepError } from '../errors.ts'
import { isWellFormed } from './canonical.ts'
import { JsonReader } from './json-reader.ts'
import { type JsonProblem, jsonProblems, Unreadable } from './json-value.ts'
import { limits } from './limits.ts'

/** Problems that matter only where a number is kept as it was written. */
const ofNumbers: readonly string[] = ['not_integer', 'unsafe_integer']

/**
 * The value of JSON text from outside. A duplicate member, a lone surrogate and too deep nesting are errors, because
 * `JSON.parse` would silently take one of several meanings. Errors: INVALID_INPUT, with the place in the text.
 */
export function parsedJson(text: string, what: string): unknown {
  const read = readJson(text)
  if ('value' in read) return read.value
  throw new LockstepError('INVALID_INPUT', jsonProblemText(what, read.problem))
}

/** The problem with a text, as a sentence. */
export function jsonProblemText(what: string, { pointer, problem }: JsonProblem): string {
  const says = problem === 'syntax' ? `${what} is not JSON` : `${what}: ${jsonProblems[problem]}`
  return pointer === '' ? says : `${says}, at ${pointer}`
}

/** The same as data: the value, or the first problem. */
export function readJson(text: string): { value: unknown } | { problem: JsonProblem } {
  try {
    const value: unknown = JSON.parse(text)
    if (isPlain(text, value)) return { value }
    const [problem] = problemsOf(text)
    return problem === undefined ? { value } : { problem }
  } catch {
    // The problem that the reader could not continue after.
    return { problem: problemsOf(text).at(-1) ?? { pointer: '', problem: 'syntax' } }
  }
}

function problemsOf(text: string): JsonProblem[] {
  const reader = new JsonReader(text)
  try {
    reader.read()
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
  }
  return reader.problems.filter(({ problem }) => !ofNumbers.includes(problem))
}

/**
 * Whether the text clearly has none of the problems, so that the slow reader is not needed. Each member has one colon
 * outside strings. So if the value has as many members, none of them is a duplicate.
 */
function isPlain(text: string, value: unknown): boolean {
  if (text.includes('\\u') || !isWellFormed(text)) return false
  const members = membersIn(value, 0)
  return members !== undefined && members === colonsIn(text)
}

/** The members of all objects in a value; undefined if it is nested too deeply. */
function membersIn(value: unknown, depth: number): number | undefined {
  if (depth > limits.jsonDepthMax) return undefined
  if (typeof value !== 'object' || value === null) return 0
  const values = Object.values(value)
  let members = Array.isArray(value) ? 0 : values.length
  for (const each of values) {
    if (typeof each !== 'object' || each === null) continue
    const inside = membersIn(each, depth + 1)
    if (inside === undefined) return undefined
    members += inside
  }
  return members
}

/** The colons of valid JSON text that are not in strings. */
function colonsIn(text: string): number {
  let colons = 0
  let colon = text.indexOf(':')
  for (let at = 0; colon !== -1; ) {
    const quote = text.indexOf('"', at)
    if (quote === -1 || colon < quote) {
      colons += 1
      at = colon + 1
    } else at = endOfString(text, quote + 1)
    colon = text.indexOf(':', at)
  }
  return colons
}

/** The place after the quote that ends a string; `from` is the place after the quote that begins it. */
function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from)
  for (let before = at; at !== -1; at = text.indexOf('"', at + 1), before = at) {
    while (text[before - 1] === '\\' && before > from) before -= 1
    if ((at - before) % 2 === 0) break
  }
  return at + 1
}
