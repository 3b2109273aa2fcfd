import { createHash } from 'node:crypto'
import { lstat, open, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { fileError, isAbsence } from '../../disk/durable.ts'
import { openFlags } from '../../disk/regular-file.ts'
import { LockstepError, messageOf } from '../../errors.ts'
import { archiveHeader, archiveHeaderBytes } from './bundle-file.ts'
import { paddingOf, tarBlock, tarFileBytesMax, tarHeader, tarTrailerBytes } from './tar.ts'

/** A file of a bundle, during reading. Any part that the caller does not read is skipped. */
export interface BundleEntry {
  name: string
  size: number
  chunks: AsyncIterable<Uint8Array>
}

/** A bundle from outside. Each call returns its files, in order. */
export type BundleFiles = () => AsyncGenerator<BundleEntry>

/**
 * Opens a bundle: an archive, or the folder that it was unpacked to. It must hold exactly the files of one form, in
 * order, each a plain file whose header matches the one that Lockstep writes. No other path, link or size is ever used.
 * Cost: one pass over the archive.
 * Errors: VERIFY_FAILED (`archive`), NOT_FOUND, FILE_DENIED.
 */
export async function openBundle(path: string, forms: readonly Form[]): Promise<BundleFiles> {
  const stat = await lstat(path).catch(unreadable(path))
  if (stat.isDirectory()) {
    const names = await formOfFolder(path, forms)
    return () => filesOfFolder(path, names)
  }
  if (!stat.isFile()) throw wrong(`${path} is neither a file nor a folder`)
  await checkBytes(path)
  const names = await formOfArchive(path, forms)
  return () => filesOfArchive(path, { count: names.length, isNext: (name, at) => name === names[at] })
}

/** The names of all files of a bundle, in order. The first form is the usual one. */
type Form = readonly string[]

/** The form of an archive, by its first file that only one form has in that place. */
async function formOfArchive(path: string, forms: readonly Form[]): Promise<Form> {
  let left = forms
  let at = 0
  for await (const { name } of filesOfArchive(path, { isNext: (name, at) => left.some((form) => form[at] === name) })) {
    left = left.filter((form) => form[at] === name)
    at += 1
    if (left.length === 1) break
  }
  return left[0] ?? []
}

/** The form of a folder: a form with further files, if any of them is there. */
async function formOfFolder(path: string, [usual = [], ...others]: readonly Form[]): Promise<Form> {
  for (const form of others) {
    for (const name of form.filter((name) => !usual.includes(name))) {
      const [first = ''] = name.split('/')
      if (await lstat(join(path, first)).catch(() => undefined)) return form
    }
  }
  return usual
}

/** The files that an archive may hold. */
export interface Contents {
  /** How many files there must be; undefined if that is not known before. */
  count?: number
  /** Whether the file with this name may be the next one. */
  isNext: (name: string, at: number) => boolean
}

/**
 * The files of an archive, in order, after all of its bytes were compared with its SHA-256. Errors and cost: those of
 * `openBundle`, and one more pass.
 */
export async function* filesOfChecked(path: string, contents: Contents): AsyncGenerator<BundleEntry> {
  await checkBytes(path)
  yield* filesOfArchive(path, contents)
}

/** Compares the SHA-256 in the first bytes with all bytes after them. */
async function checkBytes(path: string): Promise<void> {
  const digest = createHash('sha256')
  const header = Buffer.alloc(archiveHeaderBytes)
  const handle = await open(path, openFlags).catch(unreadable(path))
  try {
    const { bytesRead } = await handle.read(header, 0, archiveHeaderBytes, 0)
    const stated = header.toString('latin1', archiveHeaderBytes - 65, archiveHeaderBytes - 1)
    // The header is checked first, so that a large file that is not a bundle is not read.
    if (bytesRead !== archiveHeaderBytes || !header.equals(archiveHeader(stated))) {
      throw wrong('it does not begin with the header of a bundle')
    }
    const rest = handle.createReadStream({ start: archiveHeaderBytes, autoClose: false })
    for await (const chunk of rest) digest.update(chunk as Uint8Array)
    if (stated !== digest.digest('hex')) {
      throw wrong('its bytes do not match the SHA-256 in its header')
    }
  } catch (error) {
    throw fileError(error, `reading ${path}`)
  } finally {
    await handle.close()
  }
}

async function* filesOfArchive(path: string, { count, isNext }: Contents): AsyncGenerator<BundleEntry> {
  const gunzip = createGunzip()
  const source = (await open(path, openFlags).catch(unreadable(path))).createReadStream()
  source.on('error', (error) => gunzip.destroy(error))
  const bytes = new Bytes(source.pipe(gunzip))
  try {
    for (let at = 0; at !== count; at += 1) {
      const header = Buffer.from(await bytes.take(tarBlock))
      if (count === undefined && isEmpty(header)) break
      const name = header.toString('latin1', 0, 100).replace(/\0.*$/s, '')
      const size = Number.parseInt(header.toString('latin1', 124, 135), 8)
      const isPlain = size >= 0 && size <= tarFileBytesMax && header.equals(tarHeader(name, size))
      if (!isPlain || !isNext(name, at)) throw wrong(`file ${at + 1} is not a plain file that belongs there`)
      const part = { left: size }
      yield { name, size, chunks: bytes.part(part) }
      for await (const _ of bytes.part(part));
      if (!isEmpty(await bytes.take(paddingOf(size)))) throw wrong(`there are extra bytes after ${name}`)
    }
    const left = count === undefined ? tarTrailerBytes - tarBlock : tarTrailerBytes
    if (!isEmpty(await bytes.take(left)) || !(await bytes.isAtEnd())) throw wrong('there are extra bytes after its end')
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
    if (!stat?.isFile()) throw wrong(`${name} is missing or is not a plain file`)
    yield { name, size: stat.size, chunks: chunksOf(path, stat.size) }
  }
}

/** The folder may have any content, so the number of listed names is limited. */
async function refuseStrays(folder: string, below: string, expected: ReadonlySet<string>): Promise<void> {
  const path = join(folder, below)
  try {
    for await (const { name } of await opendir(path)) {
      const found = below === '' ? name : `${below}/${name}`
      if (!expected.has(found)) throw wrong(`${found} is not part of a bundle`)
    }
  } catch (error) {
    // If the folder is missing or is not a folder, the missing files in it are reported instead.
    if (below === '' || !isAbsence(error)) unreadable(path)(error)
  }
}

/** The file is opened only when it is read. Bytes beyond the size found earlier are not read. */
async function* chunksOf(path: string, size: number): AsyncGenerator<Uint8Array> {
  try {
    const handle = await open(path, openFlags)
    try {
      if (!(await handle.stat()).isFile()) throw wrong(`${path} is not a plain file`)
      if (size > 0) yield* handle.createReadStream({ end: size - 1, autoClose: false })
    } finally {
      await handle.close()
    }
  } catch (error) {
    unreadable(path)(error)
  }
}

/** Splits a stream of chunks into portions of the requested size. */
class Bytes {
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array()

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** The next bytes, for portions that fit in memory. */
  async take(length: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.part({ left: length })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** The next bytes, chunk by chunk. `left` counts down the bytes not yet read. */
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
