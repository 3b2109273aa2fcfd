import { constants, lstatSync } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isAbsence } from '../../disk/durable.ts'
import { adopt, adoptOpened } from '../../disk/ownership.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'

/** The new content of a file; null deletes it. The path uses forward slashes. */
export interface TreeChange {
  path: string
  content: Uint8Array | null
}

const writesMax = 8
/** Set explicitly, so that a wider umask gives no access to other users. A narrower umask still applies. */
export const folderMode = 0o755

/** A tree of files that is still private. Its files have mode 0444 and share their inodes with other trees. */
export class TreeBuild {
  readonly #root: string
  /** Folders known to exist, by their path from the root; '.' is the root. */
  readonly #known = new Set<string>()
  /** Folders in which names have changed. */
  readonly #touched = new Set<string>(['.'])
  readonly #changed = new Set<string>()

  constructor(root: string) {
    this.#root = root
  }

  /** The paths that `change` wrote or removed. */
  get changed(): string[] {
    return [...this.#changed]
  }

  /** Links all files of another tree. Cost: one link per file. */
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

  /** Makes the given paths as they are in another tree: a link to its file, or no file if it has none. */
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
   * Writes and removes files, each path once. When this resolves, the bytes of the files are durable. Their names are
   * durable after `sync`.
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
        // Concurrent writes share the disk's syncs.
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

  /** Creates a new file. A file linked from another tree shares its inode, so it is replaced and never written to. */
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
   * Whether a folder exists. Each of its parents must be a folder of this tree, not a link out of it.
   * Errors: FILE_FAILED if something else took the place of a folder.
   */
  #isFolder(folder: string): boolean {
    if (this.#known.has(folder)) return true
    if (folder !== '.' && !this.#isFolder(dirname(folder))) return false
    const stat = lstatSync(join(this.#root, folder), { throwIfNoEntry: false })
    if (stat === undefined) return false
    if (!stat.isDirectory()) throw new LockstepError('FILE_FAILED', `${join(this.#root, folder)} is not a folder`)
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
