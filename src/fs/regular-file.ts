import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { limits } from '../core/limits.ts'
import { type LockstepError, systemCodeOf } from '../errors.ts'
import { fileError } from './durable.ts'

// The one way to read a file that another program or person may have made or replaced. Opening never follows a link and
// never waits for a pipe; only a regular file is read, within a bound, and its size is checked before and while reading.

/** The bytes of a file, its size where that is over the bound, or what stands there instead (`is a named pipe`). */
export type ReadBytes = { bytes: Buffer } | { size: number } | { is: string }

/** No link is followed, no pipe is waited for. */
export const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** What an entry of a folder or a `stat` answers about a kind. */
export interface Kinds {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
  isFIFO(): boolean
  isSocket(): boolean
  isBlockDevice(): boolean
  isCharacterDevice(): boolean
}

/** The kind, in words that continue a sentence; undefined for files, for folders and for what the system does not name. */
export function otherKind(entry: Kinds): string | undefined {
  if (entry.isSymbolicLink()) return 'is a symbolic link'
  if (entry.isFIFO()) return 'is a named pipe'
  if (entry.isSocket()) return 'is a socket'
  if (entry.isBlockDevice() || entry.isCharacterDevice()) return 'is a device'
  return undefined
}

/** The bytes of the regular file at a path; undefined where nothing is there. Errors: FILE_DENIED, FILE_FAILED. */
export function readRegularFile(path: string, bytesMax: number): ReadBytes | undefined {
  let descriptor: number | undefined
  try {
    descriptor = openSync(path, openFlags)
    return bytesOfDescriptor(descriptor, bytesMax)
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'ENOENT') return undefined
    if (code === 'ELOOP') return { is: 'is a symbolic link' }
    if (code === 'ENXIO' || code === 'ENODEV') return { is: 'is a socket or a device' }
    throw fileError(error, `reading ${path}`)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/**
 * The same as text without a byte order mark. What is no regular file within the bound is the error that `errorOf` makes
 * of it. Errors: FILE_DENIED, FILE_FAILED, and the caller's own.
 */
export function readTextFile(
  path: string,
  bytesMax: number,
  errorOf: (is: string) => LockstepError,
): string | undefined {
  const read = readRegularFile(path, bytesMax)
  if (read === undefined) return undefined
  if ('bytes' in read) return read.bytes.toString('utf8').replace(/^\ufeff/, '')
  throw errorOf('is' in read ? read.is : `has ${read.size} bytes, of at most ${bytesMax}`)
}

/** The text of a file that is only a hint: undefined where it is missing, too large, no file, or cannot be read. */
export function readHint(path: string, bytesMax: number): string | undefined {
  try {
    const read = readRegularFile(path, bytesMax)
    return read !== undefined && 'bytes' in read ? read.bytes.toString('utf8') : undefined
  } catch {
    return undefined
  }
}

/** The bytes of an open file, if it is a regular file within the bound that nobody changes meanwhile. */
export function bytesOfDescriptor(descriptor: number, bytesMax: number): ReadBytes {
  const before = fstatSync(descriptor, { bigint: true })
  if (before.isDirectory()) return { is: 'is a folder' }
  if (!before.isFile()) return { is: otherKind(before) ?? 'is no regular file' }
  if (before.size > BigInt(bytesMax)) return { size: Number(before.size) }
  const bytes = contentOf(descriptor, Number(before.size))
  if (bytes === undefined) return { is: `took longer than ${limits.fileReadMillisMax} ms to read` }
  const after = fstatSync(descriptor, { bigint: true })
  const isSame = bytes.length === Number(before.size) && after.size === before.size && after.mtimeNs === before.mtimeNs
  return isSame ? { bytes } : { is: 'changed while it was read' }
}

/** All bytes, and one more than there were where the file grows; undefined where its disk gives them too slowly. */
function contentOf(descriptor: number, size: number): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(size + 1)
  const until = performance.now() + limits.fileReadMillisMax
  let at = 0
  while (at < bytes.length) {
    const read = readSync(descriptor, bytes, at, bytes.length - at, at)
    if (read === 0) break
    at += read
    if (performance.now() > until) return undefined
  }
  return bytes.subarray(0, at)
}
