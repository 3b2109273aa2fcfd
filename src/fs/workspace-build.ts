import { constants, lstatSync } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { adopt, adoptOpened } from './ownership.ts'

/** A file as it is to be, or with null one that is to be there no more. Its path has forward slashes. */
export interface TreeChange {
  path: string
  content: Uint8Array | null
}

const writesMax = 8
/** Said whatever the umask is: a wider one opens no folder to others, and a narrower one is obeyed. */
export const folderMode = 0o755

/**
 * A tree of files that nobody else uses yet. Its files are of mode 0444 and have their inodes in common with others.
 */
export class TreeBuild {
  readonly #root: string
  /** Folders that are there, by their path from the root; '.' is the root. */
  readonly #known = new Set<string>()
  /** Folders whose names have changed. */
  readonly #touched = new Set<string>(['.'])
  readonly #changed = new Set<string>()

  constructor(root: string) {
    this.#root = root
  }

  /** The paths that `change` wrote or removed. */
  get changed(): string[] {
    return [...this.#changed]
  }

  /** Links all files of another tree. Cost: a link each. */
  async linkAll(from: string): Promise<void> {
    const below = ['.']
    for (let at = 0; at < below.length; at += 1) {
      const folder = below[at] ?? '.'
      const entries = await readdir(join(from, folder), { withFileTypes: true })
      await this.#makeFolder(folder)
      for (const entry of entries) {
        const path = folder === '.' ? entry.name : `${folder}/${entry.name}`
        if (entry.isDirectory()) below.push(path)
        else if (entry.isFile()) await this.#link(from, path)
      }
    }
  }

  /** Makes some paths as they are in another tree: a link to its file, or nothing where it has none. */
  async linkAgain(from: string, paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await this.#remove(path)
      await this.#makeFolder(dirname(path))
      await this.#link(from, path).catch((error: unknown) => {
        if (!isAbsence(error)) throw error
      })
      await this.#prune(dirname(path))
    }
  }

  /**
   * Writes and removes files, each path once. The bytes of a file are on the disk when it resolves; its name is once
   * `sync` has resolved.
   */
  async change(changes: AsyncIterable<TreeChange> | Iterable<TreeChange>): Promise<void> {
    const removed: string[] = []
    const writes = new Set<Promise<void>>()
    let failure: { error: unknown } | undefined
    try {
      for await (const { content, path } of changes) {
        if (failure !== undefined) break
        this.#changed.add(path)
        if (content === null) {
          await this.#remove(path)
          removed.push(path)
          continue
        }
        await this.#makeFolder(dirname(path))
        this.#touched.add(dirname(path))
        const write = this.#write(path, content)
          .catch((error: unknown) => {
            failure ??= { error }
          })
          .finally(() => writes.delete(write))
        writes.add(write)
        // Several at once share the syncs of the disk.
        if (writes.size >= writesMax) await Promise.race(writes)
      }
    } finally {
      await Promise.all(writes)
    }
    if (failure !== undefined) throw failure.error
    for (const path of removed) await this.#prune(dirname(path))
  }

  /** Makes the names in all changed folders durable. */
  async sync(): Promise<void> {
    for (const folder of this.#touched) {
      const handle = await open(join(this.#root, folder), constants.O_RDONLY | constants.O_DIRECTORY)
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    }
  }

  async #write(path: string, content: Uint8Array): Promise<void> {
    const handle = await this.#create(path)
    try {
      adoptOpened(handle.fd, dirname(join(this.#root, path)))
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  /** A new file, for one that is linked from another tree has the same inode: it is replaced, never written to. */
  async #create(path: string): Promise<FileHandle> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    try {
      return await open(join(this.#root, path), flags, 0o444)
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error
      await this.#remove(path)
      return open(join(this.#root, path), flags, 0o444)
    }
  }

  async #link(from: string, path: string): Promise<void> {
    await link(join(from, path), join(this.#root, path))
    this.#touched.add(dirname(path))
  }

  async #remove(path: string): Promise<void> {
    if (!this.#isFolder(dirname(path))) return
    await unlink(join(this.#root, path)).then(
      () => this.#touched.add(dirname(path)),
      (error: unknown) => {
        if (!isAbsence(error)) throw error
      },
    )
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#isFolder(folder)) return
    if (folder !== '.') await this.#makeFolder(dirname(folder))
    await mkdir(join(this.#root, folder), { mode: folderMode })
    adopt(join(this.#root, folder))
    this.#known.add(folder)
    this.#touched.add(folder)
    this.#touched.add(dirname(folder))
  }

  /**
   * Whether a folder is there, and each above it is a folder of this tree and no link out of it. Errors: FILE_FAILED
   * where something else took its place.
   */
  #isFolder(folder: string): boolean {
    if (this.#known.has(folder)) return true
    if (folder !== '.' && !this.#isFolder(dirname(folder))) return false
    const stat = lstatSync(join(this.#root, folder), { throwIfNoEntry: false })
    if (stat === undefined) return false
    if (!stat.isDirectory()) throw new LockstepError('FILE_FAILED', `${join(this.#root, folder)} is no folder`)
    this.#known.add(folder)
    return true
  }

  /** Removes folders that have become empty. */
  async #prune(folder: string): Promise<void> {
    for (let at = folder; at !== '.' && this.#isFolder(at); at = dirname(at)) {
      try {
        await rmdir(join(this.#root, at))
      } catch (error) {
        if (['ENOTEMPTY', 'EEXIST'].includes(systemCodeOf(error) ?? '')) return
        throw error
      }
      this.#known.delete(at)
      this.#touched.delete(at)
      this.#touched.add(dirname(at))
    }
  }
}

function isAbsence(error: unknown): boolean {
  return systemCodeOf(error) === 'ENOENT'
}
