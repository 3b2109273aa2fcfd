import { statSync } from 'node:fs'
import { layoutOf } from '../disk/layout.ts'
import { readHeadFile } from '../log/level/open/head-file.ts'

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
      return (readHeadFile(this.#path)?.size ?? 0) > this.#knownSize
    } catch {
      // Opening the ledger will report the problem.
      return true
    }
  }
}
