import { closeSync, constants, fstatSync, lstatSync, opendirSync, openSync, statSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { fileError } from './durable.ts'
import { bytesOfDescriptor, type Kinds, openFlags, otherKind, type ReadBytes } from './regular-file.ts'

/** The kind of a directory entry. For anything but a file or a folder, `is` describes it in words. */
export type NameKind = { kind: 'file' | 'folder' } | { kind: 'other'; is: string }
export type FoundName = NameKind & { name: string }

/**
 * Linux can name an open folder by its descriptor. A path below that name stays in that folder, even if another folder
 * takes its place. On other systems, each step checks again that every folder is still in its place.
 */
export const canNameDescriptors = process.platform === 'linux' && isFolder('/proc/self/fd')

/**
 * A folder that is read without ever leaving it. No link is followed, no pipe blocks the read, and each file is checked
 * before it is read. The caller must close it.
 */
export class OpenFolder {
  readonly #descriptor: number
  readonly #path: string
  readonly #parent: OpenFolder | undefined
  readonly #byDescriptor: boolean

  private constructor(path: string, parent: OpenFolder | undefined, byDescriptor: boolean) {
    this.#path = path
    this.#parent = parent
    this.#byDescriptor = byDescriptor
    const place = byDescriptor && parent !== undefined ? parent.#place(basename(path)) : path
    this.#descriptor = openSync(place, openFlags | constants.O_DIRECTORY)
  }

  /**
   * Opens a folder. Returns undefined if nothing is there, or a description of what is there if it is not a folder.
   * Errors: FILE_DENIED, FILE_FAILED.
   */
  static at(path: string, byDescriptor = canNameDescriptors): OpenFolder | { is: string } | undefined {
    try {
      return new OpenFolder(path, undefined, byDescriptor)
    } catch (error) {
      const code = systemCodeOf(error) ?? ''
      if (code === 'ENOENT') return undefined
      if (code === 'ELOOP' || code === 'ENOTDIR') return { is: whatIs(path) }
      throw fileError(error, `reading ${path}`)
    }
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  /**
   * The names in the folder, ordered by UTF-16 code units; undefined if there are more than `namesMax`.
   * Errors: FILE_DENIED, FILE_FAILED.
   */
  names(namesMax: number): FoundName[] | undefined {
    const found: FoundName[] = []
    try {
      const listing = opendirSync(this.#place(), { bufferSize: 1_024 })
      try {
        for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
          if (found.length === namesMax) return undefined
          found.push({ name: entry.name, ...kindOf(entry, () => this.#kindOf(entry.name)) })
        }
      } finally {
        listing.closeSync()
      }
      this.#assertInPlace()
    } catch (error) {
      throw fileError(error, `reading ${this.#path}`)
    }
    return found.sort((one, other) => (one.name < other.name ? -1 : 1))
  }

  /** Opens a subfolder, or describes why it cannot be opened. Errors: those of the file system. */
  folder(name: string): OpenFolder | { is: string } {
    try {
      const folder = new OpenFolder(join(this.#path, name), this, this.#byDescriptor)
      try {
        folder.#assertInPlace()
        return folder
      } catch (error) {
        folder.close()
        throw error
      }
    } catch (error) {
      return { is: unreadable(error, `reading ${join(this.#path, name)}`) }
    }
  }

  /** The bytes of a file in the folder, or its size if that exceeds `bytesMax`. Errors: those of the disk. */
  read(name: string, bytesMax: number): ReadBytes {
    let descriptor: number | undefined
    try {
      descriptor = openSync(this.#place(name), openFlags)
      const read = bytesOfDescriptor(descriptor, bytesMax)
      this.#assertInPlace()
      return read
    } catch (error) {
      return { is: unreadable(error, `reading ${join(this.#path, name)}`) }
    } finally {
      if (descriptor !== undefined) closeSync(descriptor)
    }
  }

  /**
   * Removes a file if it still has these bytes. Returns whether it was removed.
   * Errors: FILE_DENIED, FILE_READ_ONLY, FILE_FAILED.
   */
  remove(name: string, bytes: Uint8Array): boolean {
    const found = this.read(name, bytes.length)
    if (!('bytes' in found) || !found.bytes.equals(bytes)) return false
    try {
      unlinkSync(this.#place(name))
      return true
    } catch (error) {
      throw fileError(error, `removing ${join(this.#path, name)}`)
    }
  }

  /** The path by which the folder, or a name in it, is opened. */
  #place(name = ''): string {
    return this.#byDescriptor ? `/proc/self/fd/${this.#descriptor}/${name}` : join(this.#path, name)
  }

  #kindOf(name: string): NameKind {
    return kindOf(lstatSync(this.#place(name)), () => ({ kind: 'other', is: 'is of an unknown kind' }))
  }

  /** Where folders are opened by path, checks that each is still where it was opened. */
  #assertInPlace(): void {
    if (this.#byDescriptor) return
    const [mine, there] = [fstatSync(this.#descriptor), lstatSync(this.#path)]
    if (mine.ino !== there.ino || mine.dev !== there.dev) throw new Moved()
    if (this.#parent !== undefined) this.#parent.#assertInPlace()
  }
}

/** Thrown if something else took the place of a folder during the read. */
class Moved extends Error {}

/** Describes a problem that concerns only one file. A failing disk concerns all files, so its errors are thrown. */
function unreadable(error: unknown, doing: string): string {
  if (error instanceof Moved) return 'was moved during the read'
  switch (systemCodeOf(error)) {
    case 'ELOOP':
      return 'is a symbolic link'
    case 'ENOTDIR':
      return 'is no longer a folder'
    case 'ENOENT':
      return 'was removed during the read'
    case 'ENXIO':
    case 'ENODEV':
      return 'is not a regular file'
    case 'EACCES':
    case 'EPERM':
      return 'cannot be read: permission denied'
    default:
      throw error instanceof LockstepError ? error : fileError(error, doing)
  }
}

/** Some file systems do not report the kind of an entry in a listing. */
function kindOf(entry: Kinds, otherwise: () => NameKind): NameKind {
  if (entry.isFile()) return { kind: 'file' }
  if (entry.isDirectory()) return { kind: 'folder' }
  const is = otherKind(entry)
  return is === undefined ? otherwise() : { kind: 'other', is }
}

function whatIs(path: string): string {
  const kind = kindOf(lstatSync(path), () => ({ kind: 'other', is: 'is of an unknown kind' }))
  return kind.kind === 'other' ? kind.is : 'is not a folder'
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
