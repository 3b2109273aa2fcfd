import { lstatSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { layoutOf } from '../disk/layout.ts'
import { lockFileName } from '../domain/lock/lock-file.ts'
import { systemCodeOf } from '../errors.ts'
import { readHeadFile } from '../log/head-file.ts'

/**
 * Detects that another process appended to the ledger, without opening the ledger. A process that appends refreshes
 * `.lockstep/head` every second and when it closes. The file is read only after it was replaced.
 */
export class HeadWatch {
  readonly #path: string
  #knownSize: number
  #stamp = ''
  #hasGrown = false

  constructor(root: string, knownSize: number) {
    this.#path = layoutOf(root).head
    this.#knownSize = knownSize
  }

  /** Marks all entries below this size as known: the size of the ledger while it was open. */
  know(size: number): void {
    this.#knownSize = size
    this.#hasGrown = false
    this.#stamp = ''
  }

  /** Whether there are unknown entries. Cost: one `stat`, and a small read if the file changed. */
  hasGrown(): boolean {
    const stamp = this.#stampNow()
    if (stamp !== this.#stamp) {
      this.#stamp = stamp
      this.#hasGrown = this.#hasGrown || this.#isBeyondKnown()
    }
    return this.#hasGrown
  }

  #stampNow(): string {
    try {
      const { ino, mtimeNs, size } = statSync(this.#path, { bigint: true })
      return `${ino} ${mtimeNs} ${size}`
    } catch {
      return ''
    }
  }

  #isBeyondKnown(): boolean {
    try {
      const head = readHeadFile(this.#path)
      return (head?.reached?.size ?? head?.size ?? 0) > this.#knownSize
    } catch {
      // Opening the ledger will report the problem.
      return true
    }
  }
}

/**
 * Detects that the lock file of a deliverable may have been taken away, so that a renewal can check at once. The file
 * counts as taken if two checks in a row find another file in its place, or no file although the folder exists. A
 * renewal writes the file in place, so it keeps its inode and time of birth; a new file may get the inode of the old
 * one. A missing folder is no evidence, because switching a branch can remove it for a moment.
 */
export class LockFileWatch {
  readonly #folder: string
  #born: string | undefined
  #strikes = 0

  constructor(root: string, folder: string) {
    this.#folder = resolve(root, folder)
    this.know()
  }

  /** Accepts the current file as our own. */
  know(): void {
    this.#born = this.#bornNow()
    this.#strikes = 0
  }

  /** Cost: one or two `lstat`. */
  isTaken(): boolean {
    this.#strikes = this.#isSuspect() ? this.#strikes + 1 : 0
    return this.#strikes > 1
  }

  #isSuspect(): boolean {
    const born = this.#bornNow()
    if (born === this.#born) return false
    return born !== undefined || isThere(this.#folder)
  }

  #bornNow(): string | undefined {
    try {
      const { birthtimeNs, ino } = lstatSync(join(this.#folder, lockFileName), { bigint: true })
      return `${ino} ${birthtimeNs}`
    } catch (error) {
      // A file that cannot be examined is no evidence of a change.
      return systemCodeOf(error) === 'ENOENT' ? undefined : this.#born
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
