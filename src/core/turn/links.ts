import { limits } from '../limits.ts'
import { errorIssue, type Issue, pointerStep } from './issue.ts'
import type { JsonValue } from './json-value.ts'

/** A pair that names a thing, whoever carries it. Compare pairs, never a joined text. */
export interface Identity {
  type: string
  id: string
}

/** A reference out of `links`; `location` is the RFC 6901 pointer to it, from the triplet on. */
export interface Ref extends Identity {
  location: string
  relationship: string | null
}

type JsonMembers = { readonly [key: string]: JsonValue }

/** The refs of a links object, in the order of their locations in the canonical text; and what is no ref. */
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

/** The identity that a body carries; undefined where it has none. */
export function identityOf({ dto_type, id }: JsonMembers): Identity | undefined {
  if (typeof dto_type !== 'string' || typeof id !== 'string' || dto_type === '' || id === '') return undefined
  return { type: dto_type, id }
}

/** What is wrong with the length of an identity: it has to fit into a key. */
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
    message: 'a value of links is one ref, {type, id, relationship?} of texts, or an array of refs',
    stage: 'stage',
  })
}

function tooLong(location: string, stem: string): Issue {
  return errorIssue('LIMIT_EXCEEDED', {
    details: { bytes_max: limits.identityBytes, stem },
    location,
    message: `a type, an id, a relationship and a key of links are at most ${limits.identityBytes} bytes`,
    stage: 'stage',
  })
}

/** A code unit is at most three bytes, so most are bounded without counting. */
function isTooLong(text: string): boolean {
  return text.length * 3 > limits.identityBytes && encoder.encode(text).length > limits.identityBytes
}

const encoder = new TextEncoder()
