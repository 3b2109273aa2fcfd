import { hash } from 'node:crypto'
import { partSuffixes } from '../core/turn/stem.ts'

/** The three files of a stem, by the members of a triplet. */
export const tripletParts = ['body', 'links', 'manifest'] as const
type TripletPart = (typeof tripletParts)[number]

/** What a disk is like that files are written to. */
export interface Disk {
  ignoresCase: boolean
}

/** A segment longer than this, once it is escaped, is named by its hash: names of 255 bytes fit everywhere. */
const segmentBytesMax = 200
/** What such a name begins with: no escape does, for its digits are capitals. */
const hashed = '%h'

/** The folder of what is not a stem's own. */
export const indexName = '_index'
/** Where the stems are named whose files are named by a hash. */
export const hashedStemsPath = `${indexName}/stems`

/** Where the part of a stem stands in a workspace, from the workspace's folder, with forward slashes. */
export function partPath(stem: string, part: TripletPart): string {
  return `${stemPath(stem)}${partSuffixes[part]}`
}

/** Where the files of a stem stand, but for their suffixes. */
export function stemPath(stem: string): string {
  const segments = stem.split('/').map(fileName)
  // A file system that ignores case would mix such a stem up with the index.
  if (segments[0]?.toLowerCase() === indexName) segments[0] = `%5F${segments[0].slice(1)}`
  return segments.join('/')
}

/** The stem whose files stand at a path; undefined where they would stand elsewhere, or under a hash. */
export function stemAt(path: string): string | undefined {
  try {
    const stem = path.split('/').map(decodeURIComponent).join('/')
    return stemPath(stem) === path ? stem : undefined
  } catch {
    return undefined
  }
}

/** Where a stem is named whose files cannot say which they are of; undefined of any other. */
export function hashedStemPath(stem: string): string | undefined {
  return stemPath(stem).includes(hashed) ? `${hashedStemsPath}/${hash('sha256', stem, 'hex')}.json` : undefined
}

/**
 * Where the record of what points to a target stands. Of types and ids two may differ only in case, unlike stems: on a
 * disk that ignores it their capitals are escaped, and all but ASCII, for such a disk may ignore normalisation as well.
 */
export function refPath({ id, type }: { id: string; type: string }, { ignoresCase }: Disk): string {
  const [folder, name] = [type, id].map((text) => (ignoresCase ? nameOf(text, forbiddenInTwins) : fileName(text)))
  return `${indexName}/refs/by_id/${folder}/${name}.json`
}

/** Where it stands how far a run is. */
export function runPath(runId: string): string {
  return `${indexName}/runs/${fileName(runId)}.json`
}

/**
 * A text as the name of a file or a folder, from which `decodeURIComponent` reads it back. What some file system cannot
 * hold, or takes for something else, is escaped byte by byte as `%2F`: slash, backslash, control characters and others
 * that are not seen, the characters and names that Windows forbids, a dot or a space at the end, the end of
 * `x.BODY.JSON`, `%` itself; and of a text that Unicode normalisation would change, all but ASCII. A name of more than
 * 200 bytes is `%h` and the text's SHA-256.
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
/** The last letter of a folder that would be a stem's file where case is ignored. */
const partEnding = /(?<=\.(?:body|links|manifest)\.jso)n$/i
/** What Windows takes for a device, whatever comes behind its first dot. */
const deviceName = /^(?:aux|com[0-9¹²³]|con|lpt[0-9¹²³]|nul|prn)(?=\.|$)/i

function escapeBytes(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
