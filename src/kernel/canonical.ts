import { invariant } from '../errors.ts'

/** A JSON value that the ledger can keep: only integers, no lone surrogates, and keys from a closed alphabet. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }

const keyPattern = /^[a-z_][a-z0-9_]*$/

/** The RFC 8785 text of a value whose strings are well formed; undefined members are left out. */
export function canonicalText(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item) => canonicalText(item)).join(',')}]`
  const members: string[] = []
  for (const key of Object.keys(value).sort()) {
    const member = (value as { [key: string]: Json | undefined })[key]
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalText(member)}`)
  }
  return `{${members.join(',')}}`
}

/** The same value with every object's keys in canonical order; undefined members are left out. */
export function sorted<T extends Json>(value: T): T
export function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map((item) => sorted(item))
  if (value === null || typeof value !== 'object') return value
  if (isInOrder(value)) return value
  // The object has no prototype, so that a member named __proto__ stays a member.
  const ordered: Record<string, Json> = Object.create(null)
  for (const key of Object.keys(value).sort()) {
    const member = (value as { [key: string]: Json | undefined })[key]
    if (member !== undefined) ordered[key] = sorted(member)
  }
  return ordered
}

/** Whether an object needs no copy: its keys are in order, and no member is undefined or nested. */
function isInOrder(value: object): boolean {
  let previous = ''
  for (const key of Object.keys(value)) {
    const member = (value as { [key: string]: Json | undefined })[key]
    if (key <= previous || member === undefined || (typeof member === 'object' && member !== null)) return false
    previous = key
  }
  return true
}

/**
 * Checks that plain `JSON.stringify(value)` gives RFC 8785: sorted keys from the alphabet, safe integers, well-formed
 * strings. The hot path relies on this without a check; tests and the debug switch make the check.
 */
export function assertCanonical(value: unknown, where = '$'): void {
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string') {
    invariant(isWellFormed(value), `${where} is well-formed text`)
  } else if (typeof value === 'number') {
    invariant(Number.isSafeInteger(value) && !Object.is(value, -0), `${where} is a safe integer`)
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) assertCanonical(item, `${where}[${index}]`)
  } else {
    invariant(typeof value === 'object', `${where} is JSON`)
    let previous = ''
    for (const [key, member] of Object.entries(value)) {
      invariant(keyPattern.test(key), `${where}.${key} is a permitted key`)
      invariant(previous < key, `${where}.${key} is in canonical order`)
      assertCanonical(member, `${where}.${key}`)
      previous = key
    }
  }
}

/**
 * Whether a JSON text is the RFC 8785 text of the value it was parsed to: no spaces, members in order and none twice,
 * keys from the alphabet, integers in their shortest form, and no escape that need not be.
 */
export function isCanonicalText(text: string, value: unknown): boolean {
  return JSON.stringify(value) === text && !loneEscape.test(text) && isPlain(value)
}

/** `JSON.stringify` writes a lone surrogate as an escape, and nothing else as an escape with these digits. */
const loneEscape = /(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]/

function isPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isPlain)
  let previous = ''
  for (const key of Object.keys(value)) {
    if (key <= previous || !keyPattern.test(key) || !isPlain((value as { [key: string]: unknown })[key])) return false
    previous = key
  }
  return true
}

/** Whether a string has no lone surrogates, so that it survives UTF-8. */
export function isWellFormed(text: string): boolean {
  return !loneSurrogate.test(text)
}

const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** Text with lone surrogates replaced by U+FFFD, for text from the system such as file names and messages. */
export function wellFormed(text: string): string {
  return text.replace(new RegExp(loneSurrogate, 'g'), '\ufffd')
}

/** Text cut to a number of UTF-16 code units. A character is never split, so the text stays well formed. */
export function cut(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : text.slice(0, charsMax).replace(/[\ud800-\udbff]$/, '')
}
