import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { crc32, createDeflateRaw } from 'node:zlib'
import { fileError } from '../../disk/durable.ts'
import { adoptOpened } from '../../disk/ownership.ts'
import { type TarFile, tarOf } from './tar.ts'

/**
 * The header of a gzip member up to its comment: deflate, with a comment; no time, no compression hint, and an unset
 * operating system.
 */
const gzipHeader = Buffer.from([0x1f, 0x8b, 0x08, 0x10, 0, 0, 0, 0, 0, 0xff])
export const archiveHeaderBytes = gzipHeader.length + 'sha256 '.length + 64 + 1

/**
 * The first bytes of an archive. The gzip comment contains the SHA-256 of all bytes after it, because gzip does not
 * detect every flipped bit. gzip and tar ignore the comment.
 */
export function archiveHeader(sha256: string): Buffer {
  return Buffer.concat([gzipHeader, Buffer.from(`sha256 ${sha256}\0`)])
}

/**
 * Writes files to a new .tar.gz, synced and readable only by its owner. With the same version of Node, the same files
 * always give the same bytes. Returns the SHA-256 of the uncompressed archive.
 * Errors: those of the file system.
 */
export async function writeArchive(path: string, files: readonly TarFile[]): Promise<string> {
  const [whole, body] = [createHash('sha256'), createHash('sha256')]
  let [crc, length] = [0, 0]
  async function* counted(source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      whole.update(chunk)
      crc = crc32(chunk, crc)
      length += chunk.length
      yield chunk
    }
  }
  async function* framed(source: AsyncIterable<Uint8Array>) {
    yield Buffer.alloc(archiveHeaderBytes)
    for await (const chunk of source) {
      body.update(chunk)
      yield chunk
    }
    const trailer = Buffer.alloc(8)
    trailer.writeUInt32LE(crc, 0)
    trailer.writeUInt32LE(length % 2 ** 32, 4)
    body.update(trailer)
    yield trailer
  }
  try {
    const target = createWriteStream(path, { flags: 'wx', mode: 0o600 })
    await pipeline(tarOf(files), counted, createDeflateRaw(), framed, target)
    const handle = await open(path, 'r+')
    try {
      await handle.write(archiveHeader(body.digest('hex')), 0, archiveHeaderBytes, 0)
      adoptOpened(handle.fd, dirname(path))
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw fileError(error, `writing ${path}`)
  }
  return whole.digest('hex')
}
