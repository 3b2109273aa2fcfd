import { LockstepError } from '../errors.ts'
import { isWellFormed } from './canonical.ts'
import { limits } from './limits.ts'

/** A hash of some bytes as lower-case hex. It is passed in: the core has none of its own. */
export type HexDigest = (bytes: Uint8Array) => string

/**
 * What is recorded of a tool's request or response instead of its content: SHA-256 of its RFC 8785 form, so that
 * neither the order of members nor the spelling of numbers matters (seed 3, section 8.1).
 * **Errors** as `requestText`.
 */
export function hashRequest(request: unknown, sha256: HexDigest): string {
  return sha256(new TextEncoder().encode(requestText(request)))
}

/**
 * The RFC 8785 text of any JSON value: unlike an entry's, its keys and numbers are the caller's. Members that are
 * undefined are left out, as JSON leaves them out.
 * **Errors**: INVALID_INPUT for what is no JSON, LIMIT_EXCEEDED for what is too deep or too long.
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
  throw new LockstepError('INVALID_INPUT', `the request is no JSON at ${where.slice(0, 200)}`)
}

/** Whether a value is what `{…}` in JSON is read as; a date, a map or another class has no form of its own here. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function tooLarge(message: string): LockstepError {
  return new LockstepError('LIMIT_EXCEEDED', message)
}
