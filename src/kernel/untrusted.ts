import { limits } from './limits.ts'

/** Controls and all that nobody sees, white space other than a space, quotes, and what Markdown or HTML would act on. */
const unsafe = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}"&<>[\]\\`]/u

/**
 * Text that another agent wrote, as data for a model: one line of at most `charsMax` characters, in which nothing is
 * markup. Unsafe characters are written as `\u{…}`. The caller labels the text as untrusted; inside double quotes it
 * cannot end the quotation. Cost: as long as the shown part, however long the text is.
 */
export function untrusted(text: string, charsMax: number = limits.untrustedChars): string {
  let shown = ''
  for (const character of text) {
    const safe =
      character === ' ' || !unsafe.test(character) ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`
    if (shown.length + safe.length > charsMax) return `${cut(shown, charsMax - 1)}…`
    shown += safe
  }
  return shown
}

/** The beginning of a text, without a part of an escaped character at its end. */
function cut(shown: string, charsMax: number): string {
  return shown.slice(0, charsMax).replace(/\\(?:u(?:\{[0-9a-f]*)?)?$|[\ud800-\udbff]$/, '')
}
