import { lstatSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { lockFileName } from '../domain/lock/lock-file.ts'
import { systemCodeOf } from '../errors.ts'

/**
 * Detects that the lock file of a deliverable may have been taken away, so that a renewal can check at once. The file
 * counts as taken if two checks in a row find another file in its place, or no file although the folder exists. A
 * renewal writes the file in place, so it keeps its inode. A missing folder is no evidence, because switching a branch
 * can remove it for a moment.
 */
export class LockFileWatch {
  readonly #folder: string
  #inode: bigint | undefined
  #strikes = 0

  constructor(root: string, folder: string) {
    this.#folder = resolve(root, folder)
    this.know()
  }

  /** Accepts the current file as our own. */
  know(): void {
    this.#inode = this.#inodeNow()
    this.#strikes = 0
  }

  /** Cost: one or two `lstat`. */
  isTaken(): boolean {
    this.#strikes = this.#isSuspect() ? this.#strikes + 1 : 0
    return this.#strikes > 1
  }

  #isSuspect(): boolean {
    const inode = this.#inodeNow()
    if (inode === this.#inode) return false
    return inode !== undefined || isThere(this.#folder)
  }

  #inodeNow(): bigint | undefined {
    try {
      return lstatSync(join(this.#folder, lockFileName), { bigint: true }).ino
    } catch (error) {
      // A file that cannot be examined is no evidence of a change.
      return systemCodeOf(error) === 'ENOENT' ? undefined : this.#inode
    }
  }
}

function isThere(folder: string): boolean {
  try {
    return lstatSync(folder).isDirectory()
  } catch {
    return false
  }
}
