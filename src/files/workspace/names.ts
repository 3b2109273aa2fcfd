import { hash } from 'node:crypto'
import { partSuffixes } from '../../domain/turn/stem.ts'
import { isTextPath } from '../../domain/turn/text-file.ts'

/** The three files of a stem, by the members of a triplet. */
export const tripletParts = ['body', 'links', 'manifest'] as const
type TripletPart = (typeof tripletParts)[number]

/** The properties of the disk that files are written to. */
export interface Disk {
  ignoresCase: boolean
}

/** An escaped segment longer than this is replaced by a hash. Every file system allows names of 255 bytes. */
const segmentBytesMax = 200
/** The prefix of a hashed name. No escape begins with it, because escapes use capital hex digits. */
const hashed = '%h'

/** The folder for files that do not belong to a single stem. */
export const indexName = '_index'
/** The folder that records which stems have files named by a hash. */
export const hashedStemsPath = `${indexName}/stems`

/** The path of a stem's part, relative to the workspace's folder, with forward slashes. */
export function partPath(stem: string, part: TripletPart): string {
  return `${stemPath(stem)}${partSuffixes[part]}`
}

/** The path of a stem's files without their suffixes. */
export function stemPath(stem: string): string {
  const names = stem.split('/').map(fileName)
  // A folder must not have the name of a text file.
  const segments = names.map((name, at) =>
    at < names.length - 1 && isTextPath(name) ? name.replace(/.$/, escapeBytes) : name,
  )
  // A case-insensitive file system would confuse such a stem with the index.
  if (segments[0]?.toLowerCase() === indexName) segments[0] = `%5F${segments[0].slice(1)}`
  return segments.join('/')
}

/** The path at which a stem is written as a text file; undefined for a stem that never is. */
export function textPath(stem: string): string | undefined {
  return isTextPath(stem) && hashedStemPath(stem) === undefined ? stemPath(stem) : undefined
}

/** The stem whose files are at a path. Undefined if they would be elsewhere, or are named by a hash. */
export function stemAt(path: string): string | undefined {
  try {
    const stem = path.split('/').map(decodeURIComponent).join('/')
    return stemPath(stem) === path ? stem : undefined
  } catch {
    return undefined
  }
}

/** The path of the index file that names a stem with hashed file names; undefined for other stems. */
export function hashedStemPath(stem: string): string | undefined {
  return stemPath(stem).includes(hashed) ? `${hashedStemsPath}/${hash('sha256', stem, 'hex')}.json` : undefined
}

/**
 * The path of the record of links to a target. Unlike stems, two types or ids may differ only in case. On a
 * case-insensitive disk, their capitals and all non-ASCII characters are escaped, because such a disk may also ignore
 * Unicode normalisation.
 */
export function refPath({ id, type }: { id: string; type: string }, { ignoresCase }: Disk): string {
  const [folder, name] = [type, id].map((text) => (ignoresCase ? nameOf(text, forbiddenInTwins) : fileName(text)))
  return `${indexName}/refs/by_id/${folder}/${name}.json`
}

/** The path of the file with a run's progress. */
export function runPath(runId: string): string {
  return `${indexName}/runs/${fileName(runId)}.json`
}

/**
 * Encodes a text as the name of a file or folder. `decodeURIComponent` decodes it. Characters that some file system
 * cannot hold or would treat specially are escaped byte by byte, as in `%2F`. These are:
 * - slash, backslash, control characters and other invisible characters;
 * - characters and names that Windows forbids, and a dot or space at the end;
 * - the end of `x.BODY.JSON`;
 * - `%` itself;
 * - all non-ASCII characters of a text that Unicode normalisation would change.
 * A name of more than 200 bytes becomes `%h` and the text's SHA-256.
 */
export function fileName(text: string): string {
  return nameOf(text, text.normalize('NFC') === text ? forbidden : forbiddenBeyondAscii)
}

function nameOf(text: string, escaped: RegExp): string {
  const name = text
    .replace(escaped, escapeBytes)
    .replace(/[. ]$/, escapeBytes)
    .replace(partEnding, escapeBytes)
    .replace(deviceName, (found) => `${escapeBytes(found.charAt(0))}${found.slice(1)}`)
  if (name !== '' && Buffer.byteLength(name) <= segmentBytesMax) return name
  return `${hashed}${hash('sha256', text, 'hex')}`
}

const forbidden = /["%*/:<>?\\|\ufffd]|\p{Cc}|\p{Default_Ignorable_Code_Point}/gu
const forbiddenBeyondAscii = new RegExp(`${forbidden.source}|\\P{ASCII}`, 'gu')
const forbiddenInTwins = new RegExp(`${forbiddenBeyondAscii.source}|[A-Z]`, 'gu')
/** The last letter of a folder name that would match a stem's file if case is ignored. */
const partEnding = /(?<=\.(?:body|links|manifest)\.jso)n$/i
/** Names that Windows treats as devices, whatever follows their first dot. */
const deviceName = /^(?:aux|com[0-9¹²³]|con|lpt[0-9¹²³]|nul|prn)(?=\.|$)/i

function escapeBytes(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
