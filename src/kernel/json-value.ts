import { wellFormed } from './canonical.ts'

/** A JSON value of a triplet. The caller chooses its keys, and its numbers are safe integers. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue }

/** A problem that makes an object invalid for a triplet, at an RFC 6901 pointer into it. */
export interface JsonProblem {
  pointer: string
  problem: JsonProblemKind
}

/** Every kind of problem, and its message. */
export const jsonProblems = {
  not_utf8: 'it is not valid UTF-8',
  byte_order_mark: 'it begins with a byte order mark',
  syntax: 'it is not JSON',
  not_json: 'it cannot be represented in JSON',
  not_an_object: 'it is not a JSON object',
  duplicate_key: 'a member occurs twice',
  not_integer: 'a number is not written as an integer',
  unsafe_integer: 'a number is beyond ±(2^53-1)',
  lone_surrogate: 'a string has a lone surrogate',
  too_deep: 'it is nested too deeply',
} as const
export type JsonProblemKind = keyof typeof jsonProblems

/** Thrown if the reader cannot continue. */
export class Unreadable extends Error {}

/** An object without a prototype, so that a member named `__proto__` stays a member. */
export function emptyObject(): { [key: string]: JsonValue } {
  return Object.create(null)
}

/**
 * A key of a JSON object as one step of an RFC 6901 pointer. Pointers are recorded, so a lone surrogate becomes U+FFFD.
 */
export function pointerStep(key: string | number): string {
  return `/${wellFormed(String(key)).replaceAll('~', '~0').replaceAll('/', '~1')}`
}
