/** Characters that nobody sees: white space, controls, format characters, fillers, and the empty Braille pattern. */
const unseen = /[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]+/gu

/** A text as a person sees it: compatible characters alike, without the characters that nobody sees. */
export function visible(text: string): string {
  return text.normalize('NFKC').replace(unseen, '')
}

/** A text for comparisons that no letter case, form of a letter or unseen character may change. */
export function folded(text: string): string {
  return visible(text).toLowerCase().toUpperCase().toLowerCase()
}

/**
 * Whether a text says nothing: it has no letter or digit, or it is a word or number for nothing. The words are those
 * that programs write for a value that they do not have.
 */
export function isBlank(text: string): boolean {
  const seen = visible(text).toLowerCase()
  return !/[\p{L}\p{N}]/u.test(seen) || nothing.test(seen)
}

const nothing = /^["'([{<]*(?:[-+]?[0.,]*0[0.,]*|false|n\/a|nan|nil|none|null|undefined)["')\]}>]*$/
