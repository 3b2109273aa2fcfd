import { type HeadFile, readHeadFile, writeHeadFile } from './head-file.ts'

const refreshMillis = 1_000

/**
 * Keeps `.lockstep/head` up to date off the hot path: at most once a second while entries come, and at close. A
 * failure is kept and thrown at close, since a stale head only dates back what a rollback is measured against.
 */
export class HeadKeeper {
  readonly #path: string
  readonly #head: () => Omit<HeadFile, 'time'>
  readonly #custody: { isOurs(): boolean } | undefined
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown

  /** Nothing is written where the ledger is not in its place any more: the file would be another ledger's. */
  constructor(path: string, head: () => Omit<HeadFile, 'time'>, custody?: { isOurs(): boolean }) {
    this.#path = path
    this.#head = head
    this.#custody = custody
  }

  /** Something was appended. */
  touch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      // One after the other, however slow the disk: two at once would share the file they are written beside.
      this.#writing = this.#writing.then(() => this.#write())
    }, refreshMillis).unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#writing
    this.#failure = undefined
    if (this.#custody?.isOurs() === false) return
    const { root, size } = this.#head()
    const kept = readHeadFile(this.#path)
    if (kept?.size !== size || kept.root !== root) await this.#write()
    if (this.#failure !== undefined) throw this.#failure
  }

  async #write(): Promise<void> {
    if (this.#custody?.isOurs() === false) return
    await writeHeadFile(this.#path, { ...this.#head(), time: new Date().toISOString() }).catch((error: unknown) => {
      this.#failure = error
    })
  }
}
