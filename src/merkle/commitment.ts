import { isRecord } from './entry-line.ts'

/** A free text of an entry, with the salt (hex) of its commitment. `path` is an RFC 6901 pointer into the entry. */
export interface Disclosure {
  path: string
  salt: string
  text: string
}

/** A free text as a ledger holds it. A text that was erased has neither salt nor text. */
export type HeldText = Disclosure | { path: string }

export const saltBytes = 32

/**
 * The message whose HMAC-SHA-256 under the salt is the commitment to a text: a domain, the path and the text, with a
 * zero byte between them. A path has no zero byte, so two different messages never have the same bytes.
 */
export function commitmentMessage({ path, text }: Pick<Disclosure, 'path' | 'text'>): string {
  return `lockstep/free-text/v1\0${path}\0${text}`
}

/** The object that stands in the place of a text. No event has another object with this member. */
export function isCommitment(value: unknown): value is { commitment: string } {
  return isRecord(value) && typeof value.commitment === 'string' && Object.keys(value).length === 1
}

/** Every commitment in a value, with its path, in the order of the value's members. */
export function* commitmentsIn(value: unknown, path = ''): Generator<{ path: string; commitment: string }> {
  if (isCommitment(value)) yield { path, commitment: value.commitment }
  else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* commitmentsIn(item, `${path}/${index}`)
  } else if (isRecord(value)) {
    for (const [name, member] of Object.entries(value)) yield* commitmentsIn(member, `${path}/${name}`)
  }
}
