import { LockstepError } from '../errors.ts'
import { isWellFormed } from './canonical.ts'
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
  const text = write(request, '$', 0)
  if (text.length > limits.requestChars) throw tooLarge(`the request is longer than ${limits.requestChars} characters`)
  return text
}

function write(value: unknown, where: string, depth: number): string {
  if (depth > limits.requestDepthMax) throw tooLarge(`the request is deeper than ${limits.requestDepthMax} levels`)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  if (typeof value === 'string' && isWellFormed(value)) return JSON.stringify(value)
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item, index) => write(item, `${where}[${index}]`, depth + 1)).join(',')}]`
  }
  if (isPlain(value)) {
    const members = Object.keys(value)
      .filter((key) => value[key] !== undefined)
      .sort()
      .map((key) => `${write(key, where, depth)}:${write(value[key], `${where}.${key}`, depth + 1)}`)
    return `{${members.join(',')}}`
  }
  throw new LockstepError('INVALID_INPUT', `the request is not JSON at ${where.slice(0, 200)}`)
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
