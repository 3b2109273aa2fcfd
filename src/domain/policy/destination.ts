import { visible } from '../../kernel/visible.ts'

/** The places that a text can name outside the machine, as it is seen: without white space. */
const outside = [
  // A host after a scheme, wherever it stands. A single letter is the drive of a path, and a file may be here.
  /(?<![a-z0-9+.-])(?!file:[\\/]{2}(?:[\\/]|localhost[\\/]))[a-z0-9+.-]{2,}:[\\/]{2}/i,
  // A host without a scheme.
  /^[\\/]{2}/,
  // Programs read these schemes as external without the slashes too.
  /(?:https?|s?ftps?|mailto):/i,
  // An e-mail address.
  /[^\s@]@(?:\[|(?:[\p{L}\p{N}_-]+\.)+\p{L}[\p{L}\p{N}-]+)/u,
]

/**
 * Whether a text names an external destination: a URI with a host, with or without a scheme, or an e-mail address. What
 * nobody sees in it does not hide the destination.
 */
export function isDestination(text: string): boolean {
  const seen = visible(text)
  return outside.some((place) => place.test(seen))
}
