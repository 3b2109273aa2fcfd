import { isWellFormed } from './canonical.ts'
import {
  emptyObject,
  type JsonProblem,
  type JsonProblemKind,
  type JsonValue,
  pointerStep,
  Unreadable,
} from './json-value.ts'
import { limits } from './limits.ts'

const whiteSpace = /[ \t\n\r]*/y
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 forbids them in strings.
const plainRun = /[^"\\\u0000-\u001f]*/y
const escapeToken = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const words = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const

/**
 * Reads JSON text exactly as written. `JSON.parse` does not report duplicate members, or numbers written as `1.0` or
 * `1e3`. The reader continues after a problem where it can, and notes all problems. Throws Unreadable if it cannot
 * continue.
 */
export class JsonReader {
  readonly problems: JsonProblem[] = []
  readonly #text: string
  readonly #places: Map<string, number> | undefined
  #at = 0

  /** `places` takes the offset of each member and item, by its pointer. */
  constructor(text: string, places?: Map<string, number>) {
    this.#text = text
    this.#places = places
  }

  /** How many code units were read: after an error, where it is. */
  get at(): number {
    return this.#at
  }

  read(): JsonValue {
    const value = this.#value('', 0)
    this.#skip()
    if (this.#at < this.#text.length) this.#stop('', 'syntax')
    return value
  }

  #value(pointer: string, depth: number): JsonValue {
    if (depth > limits.jsonDepthMax) this.#stop(pointer, 'too_deep')
    this.#skip()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(pointer, depth)
      case '[':
        return this.#array(pointer, depth)
      case '"':
        return this.#string(pointer)
      default:
        return this.#wordOrNumber(pointer)
    }
  }

  #object(pointer: string, depth: number): JsonValue {
    const object = emptyObject()
    this.#at += 1
    if (this.#isNext('}')) return object
    do {
      this.#skip()
      const from = this.#at
      const key = this.#string(pointer)
      const where = pointer + pointerStep(key)
      this.#places?.set(where, from)
      if (Object.hasOwn(object, key)) this.#note(where, 'duplicate_key')
      if (!this.#isNext(':')) this.#stop(where, 'syntax')
      object[key] = this.#value(where, depth + 1)
    } while (this.#isNext(','))
    if (!this.#isNext('}')) this.#stop(pointer, 'syntax')
    return object
  }

  #array(pointer: string, depth: number): JsonValue {
    const array: JsonValue[] = []
    this.#at += 1
    if (this.#isNext(']')) return array
    do {
      const where = pointer + pointerStep(array.length)
      this.#skip()
      this.#places?.set(where, this.#at)
      array.push(this.#value(where, depth + 1))
    } while (this.#isNext(','))
    if (!this.#isNext(']')) this.#stop(pointer, 'syntax')
    return array
  }

  #string(pointer: string): string {
    const from = this.#at
    if (this.#text[from] !== '"') this.#stop(pointer, 'syntax')
    this.#at += 1
    // The string is read in pieces, because one pattern for the whole string overflows the stack on long strings.
    let isEscaped = false
    for (this.#token(plainRun); this.#text[this.#at] !== '"'; this.#token(plainRun)) {
      if (this.#token(escapeToken) === undefined) this.#stop(pointer, 'syntax')
      isEscaped = true
    }
    this.#at += 1
    const token = this.#text.slice(from, this.#at)
    const text = isEscaped ? (JSON.parse(token) as string) : token.slice(1, -1)
    if (!isWellFormed(text)) this.#note(pointer, 'lone_surrogate')
    return text
  }

  #wordOrNumber(pointer: string): JsonValue {
    const word = words.find(([name]) => this.#text.startsWith(name, this.#at))
    if (word !== undefined) {
      this.#at += word[0].length
      return word[1]
    }
    const token = this.#token(numberToken)
    if (token === undefined) this.#stop(pointer, 'syntax')
    const number = Number(token)
    if (/[.eE]/.test(token) || Object.is(number, -0)) this.#note(pointer, 'not_integer')
    else if (!Number.isSafeInteger(number)) this.#note(pointer, 'unsafe_integer')
    return number
  }

  /** Takes the text that a pattern matches at this position; undefined if it does not match. */
  #token(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const token = pattern.exec(this.#text)?.[0]
    this.#at += token?.length ?? 0
    return token
  }

  #skip(): void {
    // In most cases there is nothing to skip.
    if (this.#text.charCodeAt(this.#at) <= 0x20) this.#token(whiteSpace)
  }

  #isNext(character: string): boolean {
    this.#skip()
    if (this.#text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  #note(pointer: string, problem: JsonProblemKind): void {
    if (this.problems.length < limits.jsonProblemsMax) this.problems.push({ pointer, problem })
  }

  #stop(pointer: string, problem: JsonProblemKind): never {
    this.#note(pointer, problem)
    throw new Unreadable(problem)
  }
}
