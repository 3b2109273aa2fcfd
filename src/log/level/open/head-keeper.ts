import { type HeadFile, readHeadFile, writeHeadFile } from './head-file.ts'

const refreshMillis = 1_000

/**
 * Keeps `.lockstep/head` up to date off the hot path: at most once a second while entries are appended, and at close.
 * An error is kept and thrown at close. That is safe, because a stale head only means that a rollback is compared with
 * an older state.
 */
export class HeadKeeper {
  readonly #path: string
  readonly #head: () => Omit<HeadFile, 'time'>
  readonly #custody: { isOurs(): boolean } | undefined
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown

  /** Nothing is written if the ledger is no longer in its place, because the file would belong to another ledger. */
  constructor(path: string, head: () => Omit<HeadFile, 'time'>, custody?: { isOurs(): boolean }) {
    this.#path = path
    this.#head = head
    this.#custody = custody
  }

  /** Call after each append. */
  touch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      // Writes run one after the other, even on a slow disk, because they share a temporary file.
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
