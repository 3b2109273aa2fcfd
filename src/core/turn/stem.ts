import { isWellFormed } from '../canonical.ts'
import { limits } from '../limits.ts'

/** How the files of a triplet, and of a tombstone, end; what stands before is the stem. */
export const partSuffixes = {
  body: '.body.json',
  links: '.links.json',
  manifest: '.manifest.json',
  tombstone: '.tombstone.json',
} as const

const encoder = new TextEncoder()
const controlCharacter = /\p{Cc}/u

/**
 * What is wrong with a stem, the name of one unit of state; undefined where it is one. It is taken as it is: nothing
 * is trimmed, joined or cut off, so `v1.0` and `v1.1` are two.
 */
export function wrongWithStem(stem: unknown): string | undefined {
  if (typeof stem !== 'string') return 'is no text'
  if (stem === '') return 'is empty'
  if (!isWellFormed(stem)) return 'has a lone surrogate'
  if (encoder.encode(stem).length > limits.stemBytes) return `is longer than ${limits.stemBytes} bytes`
  if (controlCharacter.test(stem)) return 'has a control character'
  if (stem.includes('\\')) return 'has a backslash'
  if (stem.startsWith('/')) return 'begins with a slash'
  if (stem.endsWith('/')) return 'ends with a slash'
  const segments = stem.split('/')
  if (segments[0] === '_index') return 'begins with _index'
  for (const segment of segments) {
    if (segment === '') return 'has an empty segment'
    if (segment === '.' || segment === '..') return `has the segment ${segment}`
    const suffix = Object.values(partSuffixes).find((ending) => segment.endsWith(ending))
    if (suffix !== undefined) return `has a segment that ends in ${suffix}`
  }
  return undefined
}

/**
 * The same for all stems that differ only in case, as Unicode folds it in full: `Σ`, `σ` and `ς` are one, `ß` is `ss`.
 * The fold of a fold is itself. Only `ı` has the capital of another letter, `i`, and stays what it is.
 */
export function foldOf(stem: string): string {
  const fold = (text: string) => text.toLowerCase().toUpperCase().toLowerCase()
  return stem.includes('ı') ? stem.split('ı').map(fold).join('ı') : fold(stem)
}

/** Order by UTF-8 bytes, which is that of code points. */
export function byBytes(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at += 1) {
    const [left, right] = [one.charCodeAt(at), other.charCodeAt(at)]
    if (left === right) continue
    // A surrogate is half of a character beyond those that come after the surrogates in UTF-16.
    const [isLeftHigh, isRightHigh] = [isSurrogate(left), isSurrogate(right)]
    return isLeftHigh === isRightHigh ? left - right : isLeftHigh ? 1 : -1
  }
  return one.length - other.length
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
