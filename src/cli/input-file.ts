import { closeSync, openSync, readSync } from 'node:fs'
import { LockstepError } from '../errors.ts'
import { fileError } from '../fs/durable.ts'

const chunkBytes = 64 * 1024

/** The bytes of a file, or with `-` of stdin. Errors: LIMIT_EXCEEDED past `bytesMax`, NOT_FOUND and others of the file. */
export function readInput(file: string, bytesMax: number): Buffer {
  try {
    const descriptor = file === '-' ? 0 : openSync(file, 'r')
    try {
      return readTo(bytesMax, descriptor, file)
    } finally {
      if (descriptor !== 0) closeSync(descriptor)
    }
  } catch (error) {
    throw fileError(error, `reading ${file}`)
  }
}

/** The same as text, without a byte order mark. Errors as `readInput`. */
export function readText(file: string, bytesMax: number): string {
  return readInput(file, bytesMax)
    .toString()
    .replace(/^\ufeff/, '')
}

/** Reads to the end, which a device may not have: no further than the bound. */
function readTo(bytesMax: number, descriptor: number, file: string): Buffer {
  const chunks: Buffer[] = []
  for (let length = 0; length <= bytesMax; ) {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    const bytes = readSync(descriptor, chunk)
    if (bytes === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, bytes))
    length += bytes
  }
  throw new LockstepError('LIMIT_EXCEEDED', `${file} is too large: it has more than ${bytesMax} bytes`)
}
