import { type JsonValue, pointerStep } from '../../kernel/json-value.ts'
import { limits } from '../../kernel/limits.ts'
import { errorIssue, type Issue } from './issue.ts'

/**
 * The type and id that identify a thing, regardless of the stem that carries it. Compare the pairs, never a joined
 * text.
 */
export interface Identity {
  type: string
  id: string
}

/** A reference in `links`. `location` is the RFC 6901 pointer to it within the triplet. */
export interface Ref extends Identity {
  location: string
  relationship: string | null
}

type JsonMembers = { readonly [key: string]: JsonValue }

/**
 * The refs of a links object, in the order of their locations in the canonical text, and issues for values that are not
 * refs.
 */
export function refsOf(links: JsonMembers, stem: string): { issues: Issue[]; refs: Ref[] } {
  const found: { issues: Issue[]; refs: Ref[] } = { issues: [], refs: [] }
  for (const key of Object.keys(links).sort()) {
    const where = `/links${pointerStep(key)}`
    const value = links[key]
    if (isTooLong(key)) found.issues.push(tooLong(where, stem))
    else if (Array.isArray(value)) value.forEach((item, index) => void take(item, `${where}/${index}`, stem, found))
    else take(value, where, stem, found)
  }
  return found
}

/** The identity that a body carries; undefined if it has none. */
export function identityOf({ dto_type, id }: JsonMembers): Identity | undefined {
  if (typeof dto_type !== 'string' || typeof id !== 'string' || dto_type === '' || id === '') return undefined
  return { type: dto_type, id }
}

/** The problem if an identity is too long for a key. */
export function wrongWithIdentity(identity: Identity | undefined, stem: string): Issue[] {
  if (identity === undefined || !(isTooLong(identity.type) || isTooLong(identity.id))) return []
  return [tooLong('/body/id', stem)]
}

function take(
  value: JsonValue | undefined,
  location: string,
  stem: string,
  { issues, refs }: { issues: Issue[]; refs: Ref[] },
): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    issues.push(wrongShape(location, stem))
    return
  }
  const { id, relationship, type } = value as JsonMembers
  const isRef = typeof type === 'string' && typeof id === 'string'
  if (!isRef || (relationship !== undefined && typeof relationship !== 'string')) {
    issues.push(wrongShape(location, stem))
  } else if (isTooLong(type) || isTooLong(id) || isTooLong(relationship ?? '')) {
    issues.push(tooLong(location, stem))
  } else {
    refs.push({ id, location, relationship: relationship ?? null, type })
  }
}

function wrongShape(location: string, stem: string): Issue {
  return errorIssue('E_DTO_LINKS_WRONG_CONTAINER_SHAPE', {
    details: { stem },
    location,
    message: 'a value of links must be a ref, {type, id, relationship?} with strings, or an array of refs',
    stage: 'stage',
  })
}

function tooLong(location: string, stem: string): Issue {
  return errorIssue('LIMIT_EXCEEDED', {
    details: { bytes_max: limits.identityBytes, stem },
    location,
    message: `a type, an id, a relationship and a key of links can have at most ${limits.identityBytes} bytes`,
    stage: 'stage',
  })
}

/** A code unit takes at most three bytes, so short texts need no count. */
function isTooLong(text: string): boolean {
  return text.length * 3 > limits.identityBytes && encoder.encode(text).length > limits.identityBytes
}

const encoder = new TextEncoder()
