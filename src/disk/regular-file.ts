import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { type LockstepError, systemCodeOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { fileError } from './durable.ts'

// All files that another program or person may have made or replaced are read through this module. Opening never
// follows a link and never waits for a pipe. Only regular files up to a size limit are read, and the size is checked
// before and during the read.

/** The bytes of a file, its size if that exceeds the limit, or a description of anything else (`is a named pipe`). */
export type ReadBytes = { bytes: Buffer } | { size: number } | { is: string }

/** With these flags, open does not follow a link or wait for a pipe. */
export const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** The methods of a directory entry or `stat` result that tell its kind. */
export interface Kinds {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
  isFIFO(): boolean
  isSocket(): boolean
  isBlockDevice(): boolean
  isCharacterDevice(): boolean
}

/** The kind of an entry, worded to continue a sentence. Undefined for files, folders and unknown kinds. */
export function otherKind(entry: Kinds): string | undefined {
  if (entry.isSymbolicLink()) return 'is a symbolic link'
  if (entry.isFIFO()) return 'is a named pipe'
  if (entry.isSocket()) return 'is a socket'
  if (entry.isBlockDevice() || entry.isCharacterDevice()) return 'is a device'
  return undefined
}

/** The bytes of the regular file at a path; undefined if nothing is there. Errors: FILE_DENIED, FILE_FAILED. */
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
 * Like `readRegularFile`, as text without a byte order mark. If the path is not a regular file within the limit, the
 * error comes from `errorOf`.
 * Errors: FILE_DENIED, FILE_FAILED, and the caller's own.
 */
export function readTextFile(
  path: string,
  bytesMax: number,
  errorOf: (is: string) => LockstepError,
): string | undefined {
  const read = readRegularFile(path, bytesMax)
  if (read === undefined) return undefined
  if ('bytes' in read) {
    if (!isUtf8(read.bytes)) throw errorOf('is not valid UTF-8')
    return read.bytes.toString('utf8').replace(/^\ufeff/, '')
  }
  throw errorOf('is' in read ? read.is : `has ${read.size} bytes, but at most ${bytesMax} are allowed`)
}

/** The text of a file that is only a hint. Undefined if it is missing, too large, unreadable or not a regular file. */
export function readHint(path: string, bytesMax: number): string | undefined {
  try {
    const read = readRegularFile(path, bytesMax)
    return read !== undefined && 'bytes' in read ? read.bytes.toString('utf8') : undefined
  } catch {
    return undefined
  }
}

/** The bytes of an open file, if it is a regular file within the limit and does not change during the read. */
export function bytesOfDescriptor(descriptor: number, bytesMax: number): ReadBytes {
  const before = fstatSync(descriptor, { bigint: true })
  if (before.isDirectory()) return { is: 'is a folder' }
  if (!before.isFile()) return { is: otherKind(before) ?? 'is not a regular file' }
  if (before.size > BigInt(bytesMax)) return { size: Number(before.size) }
  const bytes = contentOf(descriptor, Number(before.size))
  if (bytes === undefined) return { is: `took longer than ${limits.fileReadMillisMax} ms to read` }
  const after = fstatSync(descriptor, { bigint: true })
  const isSame = bytes.length === Number(before.size) && after.size === before.size && after.mtimeNs === before.mtimeNs
  return isSame ? { bytes } : { is: 'changed during the read' }
}

/** All bytes of the file, and one more if it grows; undefined if its disk is too slow. */
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
