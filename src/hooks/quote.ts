/** The most characters of a quotation, with its marks. */
const quoteCharsMax = 120

const plain = /^[\p{L}\p{M}\p{N} .,:;/@+=_'!?()-]$/u

/**
 * Text of another agent as data in a sentence that a model reads: one line in quotation marks, at most 120 characters,
 * in which whatever could be a control character, markup or a quotation mark is an escape.
 */
export function quoted(text: string): string {
  let inside = ''
  for (const character of text.normalize('NFC')) {
    const shown = /\p{Zs}/u.test(character) ? ' ' : plain.test(character) ? character : escaped(character)
    if (inside.length + shown.length > quoteCharsMax - 3) return `"${inside}…"`
    inside += shown
  }
  return `"${inside}"`
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}
