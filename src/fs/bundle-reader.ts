import { createHash } from 'node:crypto'
import { lstat, open, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { LockstepError, messageOf } from '../errors.ts'
import { archiveHeader, archiveHeaderBytes } from './bundle-file.ts'
import { fileError, isAbsence } from './durable.ts'
import { openFlags } from './regular-file.ts'
import { paddingOf, tarBlock, tarFileBytesMax, tarHeader, tarTrailerBytes } from './tar.ts'

/** A file of a bundle while it is read; what of it is not read is passed over. */
export interface BundleEntry {
  name: string
  size: number
  chunks: AsyncIterable<Uint8Array>
}

/** A bundle from outside: its files, in order, each time it is asked for them. */
export type BundleFiles = () => AsyncGenerator<BundleEntry>

/**
 * Opens a bundle: an archive, or the folder it was unpacked to. It holds exactly the files it must hold, in order, each
 * a plain file in a header written as ours are: no other path, link or size is ever followed. Cost: one pass over the
 * archive. Errors: VERIFY_FAILED (`archive`), NOT_FOUND, FILE_DENIED.
 */
export async function openBundle(path: string, names: readonly string[]): Promise<BundleFiles> {
  const stat = await lstat(path).catch(unreadable(path))
  if (stat.isDirectory()) return () => filesOfFolder(path, names)
  if (!stat.isFile()) throw wrong(`${path} is neither a file nor a folder`)
  await checkBytes(path)
  return () => filesOfArchive(path, names)
}

/** The first bytes name the SHA-256 of all others. */
async function checkBytes(path: string): Promise<void> {
  const digest = createHash('sha256')
  const header = Buffer.alloc(archiveHeaderBytes)
  const handle = await open(path, openFlags).catch(unreadable(path))
  try {
    const { bytesRead } = await handle.read(header, 0, archiveHeaderBytes, 0)
    const stated = header.toString('latin1', archiveHeaderBytes - 65, archiveHeaderBytes - 1)
    // Looked at first, so that a large file that is no bundle is not read.
    if (bytesRead !== archiveHeaderBytes || !header.equals(archiveHeader(stated))) {
      throw wrong('it does not begin as a bundle does')
    }
    const rest = handle.createReadStream({ start: archiveHeaderBytes, autoClose: false })
    for await (const chunk of rest) digest.update(chunk as Uint8Array)
    if (stated !== digest.digest('hex')) {
      throw wrong('its bytes are not those that its first bytes state the SHA-256 of')
    }
  } catch (error) {
    throw fileError(error, `reading ${path}`)
  } finally {
    await handle.close()
  }
}

async function* filesOfArchive(path: string, names: readonly string[]): AsyncGenerator<BundleEntry> {
  const gunzip = createGunzip()
  const source = (await open(path, openFlags).catch(unreadable(path))).createReadStream()
  source.on('error', (error) => gunzip.destroy(error))
  const bytes = new Bytes(source.pipe(gunzip))
  try {
    for (const name of names) {
      const header = Buffer.from(await bytes.take(tarBlock))
      const size = Number.parseInt(header.toString('latin1', 124, 135), 8)
      const isOurs = size >= 0 && size <= tarFileBytesMax && header.equals(tarHeader(name, size))
      if (!isOurs) throw wrong(`it does not go on with the plain file ${name}`)
      const part = { left: size }
      yield { name, size, chunks: bytes.part(part) }
      for await (const _ of bytes.part(part));
      if (!isEmpty(await bytes.take(paddingOf(size)))) throw wrong(`bytes stand behind ${name}`)
    }
    if (!isEmpty(await bytes.take(tarTrailerBytes)) || !(await bytes.isAtEnd()))
      throw wrong('bytes stand behind its end')
  } catch (error) {
    if (error instanceof LockstepError) throw error
    throw wrong(`it cannot be unpacked: ${messageOf(error)}`, error)
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}

async function* filesOfFolder(folder: string, names: readonly string[]): AsyncGenerator<BundleEntry> {
  const folders = names.filter((name) => name.includes('/')).map((name) => name.slice(0, name.indexOf('/')))
  const expected = new Set([...names, ...folders])
  for (const below of ['', ...folders]) await refuseStrays(folder, below, expected)
  for (const name of names) {
    const path = join(folder, name)
    const stat = await lstat(path).catch(() => undefined)
    if (!stat?.isFile()) throw wrong(`${name} is missing, or no plain file`)
    yield { name, size: stat.size, chunks: chunksOf(path, stat.size) }
  }
}

/** No more names are listed than there may be: the folder may be any. */
async function refuseStrays(folder: string, below: string, expected: ReadonlySet<string>): Promise<void> {
  const path = join(folder, below)
  try {
    for await (const { name } of await opendir(path)) {
      const found = below === '' ? name : `${below}/${name}`
      if (!expected.has(found)) throw wrong(`${found} is no file of a bundle`)
    }
  } catch (error) {
    // A folder that is missing, or no folder, is told by the names of the files in it.
    if (below === '' || !isAbsence(error)) unreadable(path)(error)
  }
}

/** Opened when it is read, and not before; no more is read than there was when its size was asked for. */
async function* chunksOf(path: string, size: number): AsyncGenerator<Uint8Array> {
  try {
    const handle = await open(path, openFlags)
    try {
      if (!(await handle.stat()).isFile()) throw wrong(`${path} is no plain file`)
      if (size > 0) yield* handle.createReadStream({ end: size - 1, autoClose: false })
    } finally {
      await handle.close()
    }
  } catch (error) {
    unreadable(path)(error)
  }
}

/** Bytes that come in chunks, taken in the portions that are asked for. */
class Bytes {
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array()

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** The next bytes, small enough for memory. */
  async take(length: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.part({ left: length })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** The next bytes as they come; `left` counts down what was not read yet. */
  async *part(part: { left: number }): AsyncGenerator<Uint8Array> {
    while (part.left > 0) {
      if (await this.isAtEnd()) throw wrong('it ends too early')
      const chunk = this.#chunk.subarray(0, part.left)
      this.#chunk = this.#chunk.subarray(chunk.length)
      part.left -= chunk.length
      yield chunk
    }
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#source.next()
      if (done) return true
      this.#chunk = value
    }
    return false
  }
}

function unreadable(path: string): (error: unknown) => never {
  return (error) => {
    throw fileError(error, `reading ${path}`)
  }
}

function isEmpty(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

function wrong(what: string, cause?: unknown): LockstepError {
  return new LockstepError('VERIFY_FAILED', `archive: ${what}`, { details: { check: 'archive' }, cause })
}
