import { emptyObjectDigest, type StagedTriplet } from './triplet.ts'

// A plain text file is a triplet whose body has the text. Its stem is the whole path of the file, so that `report.md`
// is another unit than `report`, and its identity follows from the path.

const textFileType = 'text_file'
/** A closed list, so that a mistyped `page.body.jsn` is refused and not published as a text. */
export const textEndings = ['.csv', '.html', '.md', '.txt'] as const

/** Whether a path names a plain text file. */
export function isTextPath(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase()
  return textEndings.some((ending) => name.length > ending.length && name.endsWith(ending))
}

/** The body of a text file. */
export function textBody(stem: string, text: string): { dto_type: string; id: string; text: string } {
  return { dto_type: textFileType, id: stem, text }
}

/**
 * The text of a triplet that is written as a text file; undefined for any other triplet. Nothing of a text file may be
 * lost by that, so it has neither links nor a manifest, and its body has no further members.
 */
export function textOf(
  { links_digest, manifest_digest, stem }: Pick<StagedTriplet, 'links_digest' | 'manifest_digest' | 'stem'>,
  body: unknown,
): string | undefined {
  const { dto_type, id, text, ...others } = Object(body) as Record<string, unknown>
  const isPlain = links_digest === emptyObjectDigest && manifest_digest === emptyObjectDigest
  const isText = isTextPath(stem) && dto_type === textFileType && id === stem && Object.keys(others).length === 0
  return isPlain && isText && typeof text === 'string' ? text : undefined
}
