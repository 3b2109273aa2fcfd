import { limits } from './limits.ts'

/** Controls and all that nobody sees, quotes, and what starts markup or JSON. */
const unsafe = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}"&<>[\]{}\\`]/u
const space = /\p{Zs}/u
/** What is read of a text: several characters can become one in another form of Unicode. */
const readShare = 4

/**
 * Text that another agent wrote, as data for a model: one line of at most `charsMax` characters, in which nothing is
 * markup. Unsafe characters are written as `\u{…}`. The caller labels the text as untrusted; inside double quotes it
 * cannot end the quotation. Cost: as long as the shown part, however long the text is.
 */
export function untrusted(text: string, charsMax: number = limits.untrustedChars): string {
  const start = text.slice(0, readShare * charsMax)
  let shown = ''
  for (const character of start.normalize('NFC')) {
    const safe = space.test(character) ? ' ' : unsafe.test(character) ? escaped(character) : character
    if (shown.length + safe.length > charsMax) return `${cut(shown, charsMax - 1)}…`
    shown += safe
  }
  return start.length < text.length ? `${cut(shown, charsMax - 1)}…` : shown
}

/** The same in quotation marks, for a sentence. */
export function quoted(text: string): string {
  return `"${untrusted(text, limits.untrustedChars - 2)}"`
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}

/** The beginning of a text, without a part of an escaped character at its end. */
function cut(shown: string, charsMax: number): string {
  return shown.slice(0, charsMax).replace(/\\(?:u(?:\{[0-9a-f]*)?)?$|[\ud800-\udbff]$/, '')
}
