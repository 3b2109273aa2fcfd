import type { Entry } from '../core/entry.ts'
import type { StagedSet } from '../core/turn/triplet.ts'
import type { Log } from '../log/log.ts'
import { unavailable } from './unavailable.ts'

/** Objects that were stored for a command that is not decided yet. */
export interface Stored {
  digests: readonly string[]
  notes: readonly number[]
  /** No entry before it names one of them. */
  size: number
}

/** What is known of a digest whose object is being stored, or dropped, by a command under way in this process. */
interface Held {
  by: number
  size: number
}

/**
 * Objects on their way into the ledger: stored before the entry that names them, dropped again where none comes to
 * name them, now or after a crash. An object that is there and that nobody is storing is named by an entry already,
 * for whatever else there is has a note. Queries and decisions read them elsewhere.
 */
export class StoredObjects {
  readonly #log: Log
  readonly #held = new Map<string, Held>()

  constructor(log: Log) {
    this.#log = log
  }

  /**
   * Stores the objects that are not there, in synced writes between which others get theirs. Errors:
   * LEDGER_UNAVAILABLE.
   */
  async store(objects: ReadonlyMap<string, string>): Promise<Stored> {
    let { size } = this.#log.head()
    const missing = new Map<string, string>()
    let looked = 0
    for (const [digest, text] of objects) {
      looked += 1
      if (looked % looksAtOnce === 0) await new Promise(setImmediate)
      const held = this.#held.get(digest)
      if (held === undefined && this.#log.objects.has(digest)) continue
      missing.set(digest, text)
      // What others are storing may be named by an entry since they began.
      size = Math.min(size, held?.size ?? size)
      this.#held.set(digest, { by: (held?.by ?? 0) + 1, size: held?.size ?? size })
    }
    const digests = [...missing.keys()]
    try {
      return { digests, notes: await this.#log.objects.put(missing, size), size }
    } catch (cause) {
      // No write after it is tried, so the writer stops at the next; the next open collects what is left.
      throw unavailable(cause, 'not_applied')
    }
  }

  /** The command was accepted: its entry names them, and its batch took the notes away. */
  release({ digests }: Stored): void {
    for (const digest of digests) this.#let(digest)
  }

  /** The command was refused: what nobody else stores and no entry names goes. */
  async drop(stored: Stored): Promise<void> {
    if (stored.notes.length === 0) return
    const named = await this.#namedSince(stored.size)
    const orphans = stored.digests.filter((digest) => this.#held.get(digest)?.by === 1 && !named.has(digest))
    // Let go at once, so that of two who are refused the later one knows that it is the last.
    const isOrphan = new Set(orphans)
    for (const digest of stored.digests) if (!isOrphan.has(digest)) this.#let(digest)
    // Held until they are gone, so that who stores one of them meanwhile writes it again, behind this.
    await this.#log.objects.drop(orphans, stored.notes)
    for (const digest of orphans) this.#let(digest)
  }

  /** What a crash left: called once, at open, before anything is stored. */
  async collect(): Promise<void> {
    const notes = await this.#log.objects.notes()
    if (notes.length === 0) return
    const named = await this.#namedSince(Math.min(...notes.map(({ note }) => note.size)))
    const digests = new Set(notes.flatMap(({ note }) => note.digests))
    const orphans = [...digests].filter((digest) => !named.has(digest))
    await this.#log.objects.drop(
      orphans,
      notes.map(({ number }) => number),
    )
  }

  #let(digest: string): void {
    const held = this.#held.get(digest)
    if (held === undefined || held.by === 1) this.#held.delete(digest)
    else this.#held.set(digest, { ...held, by: held.by - 1 })
  }

  /** What the entries from a seq on name; there are few, or a crash was long ago. */
  async #namedSince(seq: number): Promise<Set<string>> {
    const named = new Set<string>()
    for await (const page of this.#log.entries(seq)) {
      for (const entry of page)
        for (const digest of namedBy(entry, (at) => this.#log.objects.text(at))) named.add(digest)
    }
    return named
  }
}

const looksAtOnce = 256

/** The objects that an entry names, itself or by its manifest object. */
export function* namedBy({ data, type }: Entry, textOf: (digest: string) => string): Generator<string> {
  if (type === 'run.acted' && data.record_digest !== undefined) yield String(data.record_digest)
  if (!type.startsWith('turn.')) return
  const { digest = null } = (data.issues ?? {}) as { digest?: string | null }
  if (digest !== null) yield digest
  if (type !== 'turn.staged') return
  const manifest = String(data.manifest_digest)
  yield manifest
  const { triplets } = JSON.parse(textOf(manifest)) as StagedSet
  for (const { body_digest, links_digest, manifest_digest } of triplets) {
    yield body_digest
    yield links_digest
    yield manifest_digest
  }
}
