import { erasedBy, textsInRow } from '../../domain/aggregates.ts'
import { textsErasedBy } from '../../domain/erasure/selection.ts'
import type { Entry } from '../../kernel/entry.ts'
import { erasureCursor } from '../../log/erased.ts'
import type { Cursors, Key } from '../../log/log.ts'
import type { Core } from '../../writer/core.ts'
import type { Reactions } from '../parts.ts'
import { forgetContent, forgetErased } from './forgetting.ts'

/**
 * Removes what is left of erased texts: in the files of the log, and in the ledger's files beside it. It is a reaction
 * to entries like those of the reactors, which it stands for, but waits until it is asked (`finish`). The entry and the
 * mark in place of the text are durable first, so no reader finds the text any more. This work follows, once for many
 * erasures. Its cursor is durable when the work is done, so after a crash it begins again at the next open.
 */
export class Purging implements Reactions {
  readonly #core: Core
  readonly #reactors: Reactions
  /** The first and the last entry whose erased texts may be left in files; undefined if there is none. */
  #left: { first: number; last: number } | undefined
  #work: Promise<unknown> = Promise.resolve()

  constructor(core: Core, reactors: Reactions) {
    this.#core = core
    this.#reactors = reactors
  }

  cursors(): Cursors {
    return { ...this.#reactors.cursors(), [erasureCursor]: this.#left?.first ?? this.#core.log.head().size }
  }

  published(entries: readonly Entry[]): void {
    this.#see(entries)
    this.#reactors.published(entries)
  }

  drained(): Promise<'current' | 'pending'> {
    return this.#reactors.drained()
  }

  #see(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (erasedBy(entry).length + textsErasedBy(entry).length > 0)
        this.#left = { first: this.#left?.first ?? entry.seq, last: entry.seq }
    }
  }

  /** Finishes what the last process left. Called once, at open. A ledger that never erased anything has no cursor. */
  async recover(): Promise<void> {
    const { log } = this.#core
    const { cursors, size } = log.head()
    for await (const page of log.entries(cursors[erasureCursor] ?? size, size)) this.#see(page)
    await this.finish()
  }

  /**
   * Resolves with `current` when nothing is left of any erased text, and with `pending` if a reader still keeps older
   * files. It is then tried again later. Errors: those of the files and of the log.
   */
  finish(): Promise<'current' | 'pending'> {
    const finished = this.#work.then(() => this.#finish())
    this.#work = finished.catch(() => {})
    return finished
  }

  async #finish(): Promise<'current' | 'pending'> {
    const { log } = this.#core
    if (this.#left === undefined) return 'current'
    const { size } = log.head()
    const [digests, rows, seqs] = [new Set<string>(), new Set<string>(), new Set<number>()]
    for await (const page of log.entries(this.#left.first, size)) {
      for (const entry of page) {
        for (const digest of erasedBy(entry)) digests.add(digest)
        for (const { seq } of textsErasedBy(entry)) seqs.add(seq)
      }
    }
    for (const key of seqs) {
      const [entry] = (await log.load([{ view: 'entry', key } satisfies Key])) as [Entry]
      if (textsInRow(entry.stream) === 'row') rows.add(entry.stream)
      forgetContent(this.#core, entry)
    }
    if (digests.size > 0) await forgetErased(this.#core, digests)
    if (!(await log.purge({ digests, rows, seqs }))) return 'pending'
    // What was erased meanwhile is left to the next time.
    this.#left = this.#left.last < size ? undefined : { first: size, last: this.#left.last }
    await log.keepCursors(this.cursors())
    return 'current'
  }
}
