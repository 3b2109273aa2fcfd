import { lstatSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { lockFileName } from '../core/lock/lock-file.ts'
import { systemCodeOf } from '../errors.ts'

/**
 * Tells whether the lock file of a deliverable may have been taken away, so that a renewal finds out at once: another
 * file in its place, or none in a folder that is there, at two looks in a row. A renewal writes it in place, and a folder
 * may be gone for a moment, as when a branch is switched.
 */
export class LockFileWatch {
  readonly #folder: string
  #inode: bigint | undefined
  #strikes = 0

  constructor(root: string, folder: string) {
    this.#folder = resolve(root, folder)
    this.know()
  }

  /** The file that is there now is ours. */
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
      // One that cannot be looked at is no sign of anything.
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
