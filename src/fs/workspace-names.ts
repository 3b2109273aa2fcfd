import { hash } from 'node:crypto'
import { partSuffixes } from '../core/turn/stem.ts'

/** The three files of a stem, by the members of a triplet. */
export const tripletParts = ['body', 'links', 'manifest'] as const
type TripletPart = (typeof tripletParts)[number]

/** A segment longer than this, once it is escaped, is named by its hash: names of 255 bytes fit everywhere. */
const segmentBytesMax = 200

/** Where the part of a stem stands in a workspace, from the workspace's folder, with forward slashes. */
export function partPath(stem: string, part: TripletPart): string {
  const segments = stem.split('/').map(fileName)
  // A file system that ignores case would mix such a stem up with the index.
  if (segments[0]?.toLowerCase() === '_index') segments[0] = `%5F${segments[0].slice(1)}`
  return `${segments.join('/')}${partSuffixes[part]}`
}

/** Where the record of what points to a target stands. */
export function refPath({ id, type }: { id: string; type: string }): string {
  return `_index/refs/by_id/${fileName(type)}/${fileName(id)}.json`
}

/** Where it stands how far a run is. */
export function runPath(runId: string): string {
  return `_index/runs/${fileName(runId)}.json`
}

/**
 * A text as the name of a file or a folder. What a file system cannot hold is escaped byte by byte as `%2F`: slash,
 * backslash, control characters, the characters and names that Windows forbids, a dot or a space at the end, and `%`
 * itself. A name of more than 200 bytes is `%h` and the text's SHA-256, from which it cannot be read back.
 */
export function fileName(text: string): string {
  const escaped = text
    .replace(forbidden, escapeBytes)
    .replace(/[. ]$/, escapeBytes)
    .replace(deviceName, (found) => `${escapeBytes(found.charAt(0))}${found.slice(1)}`)
  if (escaped !== '' && Buffer.byteLength(escaped) <= segmentBytesMax) return escaped
  return `%h${hash('sha256', text, 'hex')}`
}

/** The text that a name stands for, or undefined for a hashed one and for what no text is named. */
export function textOfName(name: string): string | undefined {
  if (name.startsWith('%h')) return undefined
  const bytes = Buffer.from(name)
  const read: number[] = []
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] !== 0x25) {
      read.push(bytes[at] ?? 0)
      continue
    }
    read.push(Number.parseInt(bytes.toString('latin1', at + 1, at + 3), 16))
    at += 2
  }
  const text = Buffer.from(read).toString()
  return fileName(text) === name ? text : undefined
}

const forbidden = /["%*/:<>?\\|]|\p{Cc}/gu
/** What Windows takes for a device, whatever comes behind its first dot. */
const deviceName = /^(?:aux|com[0-9]|con|lpt[0-9]|nul|prn)(?=\.|$)/i

function escapeBytes(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
