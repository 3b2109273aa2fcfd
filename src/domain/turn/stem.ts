import { isWellFormed } from '../../kernel/canonical.ts'
import { limits } from '../../kernel/limits.ts'

/** The suffixes of the files of a triplet and of a tombstone. The stem is the part before the suffix. */
export const partSuffixes = {
  body: '.body.json',
  links: '.links.json',
  manifest: '.manifest.json',
  tombstone: '.tombstone.json',
} as const

const encoder = new TextEncoder()
const controlCharacter = /\p{Cc}/u

/**
 * The problem with a stem, the name of one unit of state; undefined if it is valid. A stem is used exactly as given:
 * nothing is trimmed, joined or cut off, so `v1.0` and `v1.1` are two stems.
 */
export function wrongWithStem(stem: unknown): string | undefined {
  if (typeof stem !== 'string') return 'is not a string'
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
 * Full Unicode case folding: stems that differ only in case have the same fold. `Σ`, `σ` and `ς` fold alike, and `ß`
 * folds to `ss`. Folding twice gives the same result. `ı` is left unchanged, although its capital is that of `i`.
 */
export function foldOf(stem: string): string {
  const fold = (text: string) => text.toLowerCase().toUpperCase().toLowerCase()
  return stem.includes('ı') ? stem.split('ı').map(fold).join('ı') : fold(stem)
}

/** Compares by UTF-8 bytes, which is the order of code points. */
export function byBytes(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at += 1) {
    const [left, right] = [one.charCodeAt(at), other.charCodeAt(at)]
    if (left === right) continue
    // Characters beyond U+FFFF are surrogate pairs in UTF-16. They must sort after the code units above the surrogates.
    const [isLeftHigh, isRightHigh] = [isSurrogate(left), isSurrogate(right)]
    return isLeftHigh === isRightHigh ? left - right : isLeftHigh ? 1 : -1
  }
  return one.length - other.length
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
