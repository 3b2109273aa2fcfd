import { statSync } from 'node:fs'
import { readHeadFile } from '../fs/head-file.ts'
import { layoutOf } from '../fs/layout.ts'

/**
 * Tells whether somebody appended to a ledger that nobody keeps open, without opening it: every process that appended
 * refreshes `.lockstep/head` when it closes, and once a second before. The file is read only when it was replaced.
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

  /** All entries up to here are known: the size of the ledger while it was open. */
  know(size: number): void {
    this.#knownSize = size
    this.#hasGrown = false
    this.#stamp = ''
  }

  /** Whether there are entries that are not known. Cost: one `stat`, and a small read where the file changed. */
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
      // Whoever opens the ledger is told what is wrong with it.
      return true
    }
  }
}
