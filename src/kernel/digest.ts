import { LockstepError } from '../errors.ts'
import { canonicalText, isWellFormed, type Json } from './canonical.ts'
import { limits } from './limits.ts'

/** A hash of some bytes as lower-case hex. It is passed in, because the core has no hash function. */
export type HexDigest = (bytes: Uint8Array) => string

/**
 * The hash that is recorded in place of a tool's request or response: the SHA-256 of its RFC 8785 form. The order of
 * members and the notation of numbers do not change it (Run Lifecycle, Contract v1, section 8.1). **Errors** as
 * `requestText`.
 */
export function hashRequest(request: unknown, sha256: HexDigest): string {
  return sha256(new TextEncoder().encode(requestText(request)))
}

/**
 * The RFC 8785 text of any JSON value. Unlike in entries, any keys and numbers are allowed. Undefined members are left
 * out, as in JSON. **Errors**: INVALID_INPUT if the value is not JSON, LIMIT_EXCEEDED if it is too deep or too long.
 */
export function requestText(request: unknown): string {
  check(request, '$', 0)
  const text = canonicalText(request as Json)
  if (text.length > limits.requestChars) throw tooLarge(`the request is longer than ${limits.requestChars} characters`)
  return text
}

function check(value: unknown, where: string, depth: number): void {
  if (depth > limits.requestDepthMax) throw tooLarge(`the request is deeper than ${limits.requestDepthMax} levels`)
  if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return
  if (typeof value === 'string' && isWellFormed(value)) return
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) check(value[index], `${where}[${index}]`, depth + 1)
    return
  }
  if (!isPlain(value)) throw new LockstepError('INVALID_INPUT', `the request is not JSON at ${where.slice(0, 200)}`)
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue
    check(key, where, depth)
    check(member, `${where}.${key}`, depth + 1)
  }
}

/**
 * Whether a value is a plain object, as `JSON.parse` creates for `{…}`. Dates, maps and other classes are not plain
 * objects.
 */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function tooLarge(message: string): LockstepError {
  return new LockstepError('LIMIT_EXCEEDED', message)
}
