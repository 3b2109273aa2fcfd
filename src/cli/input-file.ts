import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileError } from '../disk/durable.ts'
import { otherKind } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'

const chunkBytes = 64 * 1024

/**
 * Reads a file that the caller names, following links, or stdin for `-`. Errors: LIMIT_EXCEEDED above `bytesMax`,
 * INVALID_INPUT (a folder, a device, or a named pipe, which may never have a writer), NOT_FOUND, FILE_DENIED.
 */
export function readInput(file: string, bytesMax: number): Buffer {
  try {
    const descriptor = file === '-' ? 0 : opened(file, bytesMax)
    try {
      return readTo(bytesMax, descriptor, file)
    } finally {
      if (descriptor !== 0) closeSync(descriptor)
    }
  } catch (error) {
    throw fileError(error, `reading ${file}`)
  }
}

/** Reads a file as text, without its byte order mark. Errors: those of `readInput`, INVALID_INPUT (not UTF-8). */
export function readText(file: string, bytesMax: number): string {
  const bytes = readInput(file, bytesMax)
  if (isUtf8(bytes)) return bytes.toString().replace(/^\ufeff/, '')
  throw new LockstepError('INVALID_INPUT', `${file} is not valid UTF-8`, { details: { file } })
}

/** A path that a shell opened for the command, as for `<(generate)`. It is read like stdin, whatever its kind. */
const ofShell = /^\/(?:dev\/(?:stdin|fd\/\d+)|proc\/(?:self|\d+)\/fd\/\d+)$/

function opened(file: string, bytesMax: number): number {
  if (ofShell.test(resolve(file))) return openSync(file, 'r')
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) {
      const is = stat.isDirectory() ? 'is a folder' : (otherKind(stat) ?? 'is not a regular file')
      throw new LockstepError('INVALID_INPUT', `${file} ${is}`, {
        details: { file },
        hint: `To read a pipe, pass it on stdin: lockstep … - < ${file}`,
      })
    }
    if (stat.size > bytesMax) throw tooLarge(file, bytesMax)
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** Reads to the end, but at most `bytesMax`, because a device may have no end. */
function readTo(bytesMax: number, descriptor: number, file: string): Buffer {
  const chunks: Buffer[] = []
  for (let length = 0; length <= bytesMax; ) {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    const bytes = readSync(descriptor, chunk)
    if (bytes === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, bytes))
    length += bytes
  }
  throw tooLarge(file, bytesMax)
}

function tooLarge(file: string, bytesMax: number): LockstepError {
  return new LockstepError('LIMIT_EXCEEDED', `${file} is too large: it has more than ${bytesMax} bytes`)
}
