import { objectsOf } from '../domain/aggregates.ts'
import type { Key, Log } from '../log/log.ts'
import { unavailable } from './unavailable.ts'

/** Objects that were stored for a command that is not decided yet. */
export interface Stored {
  digests: readonly string[]
  notes: readonly number[]
  /** Entries before this size do not name any of these objects. */
  size: number
}

/**
 * A digest that commands of this process look up, store or drop: how many commands, the size at which they began, and
 * whether one of them found it missing. Until then, an object that exists is named by an entry.
 */
interface Held {
  by: number
  isMissing: boolean
  size: number
}

/**
 * Objects are stored before the entry that names them, together with a note. If no entry names them, they are
 * dropped, either at once or after a crash. So an existing object without a note, which no command is storing, is
 * named by an entry. Queries and decisions read objects elsewhere.
 */
export class StoredObjects {
  readonly #log: Log
  readonly #held = new Map<string, Held>()

  constructor(log: Log) {
    this.#log = log
  }

  /**
   * Stores missing objects in several synced writes, so that other commands can write in between. Errors:
   * LEDGER_UNAVAILABLE.
   */
  async store(objects: ReadonlyMap<string, string>): Promise<Stored> {
    let { size } = this.#log.head()
    const missing = new Map<string, string>()
    const all = [...objects.keys()]
    for (let at = 0; at < all.length; at += looksAtOnce) {
      if (at > 0) await new Promise(setImmediate)
      const some = all.slice(at, at + looksAtOnce)
      const others = some.filter((digest) => !this.#held.get(digest)?.isMissing)
      // Held before they are looked up, so that no other command drops one of them meanwhile.
      for (const digest of some) {
        const held = this.#held.get(digest)
        // An entry may have named an object since other commands began to store it.
        size = Math.min(size, held?.size ?? size)
        const isMissing = held?.isMissing ?? false
        this.#held.set(digest, { by: (held?.by ?? 0) + 1, isMissing, size: held?.size ?? size })
      }
      const absent = new Set(await this.#log.objects.missing(others))
      const stored = new Set(others.filter((digest) => !absent.has(digest)))
      for (const digest of some) {
        const held = this.#held.get(digest)
        // If another command found it missing meanwhile, that command may still drop what this look-up found.
        if (stored.has(digest) && !held?.isMissing) {
          this.#let(digest)
        } else {
          this.#held.set(digest, { by: 1, size, ...held, isMissing: true })
          missing.set(digest, objects.get(digest) ?? '')
        }
      }
    }
    const digests = [...missing.keys()]
    try {
      return { digests, notes: await this.#log.objects.put(missing, size), size }
    } catch (cause) {
      // The failed write stops the writer at its next write. The next open collects these objects.
      throw unavailable(cause, 'not_applied')
    }
  }

  /** Called when the command was accepted: its entry names the objects, and its batch removed the notes. */
  release({ digests }: Stored): void {
    for (const digest of digests) this.#let(digest)
  }

  /** Called when the command was refused: drops objects that no entry names and no other command stores. */
  async drop(stored: Stored): Promise<void> {
    if (stored.notes.length === 0) return
    const named = await this.#namedSince(stored.size)
    const orphans = stored.digests.filter((digest) => this.#held.get(digest)?.by === 1 && !named.has(digest))
    // Released at once, so that if two commands are refused, the later one drops the shared objects.
    const isOrphan = new Set(orphans)
    for (const digest of stored.digests) if (!isOrphan.has(digest)) this.#let(digest)
    // Held until they are dropped, so that a command that stores one of them meanwhile writes it again afterwards.
    await this.#log.objects.drop(orphans, stored.notes)
    for (const digest of orphans) this.#let(digest)
  }

  /** Drops the objects that a crash left. Called once at open, before any object is stored. */
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

  /** The objects named by entries from a seq on. There are few such entries unless a crash was long ago. */
  async #namedSince(seq: number): Promise<Set<string>> {
    const named = new Set<string>()
    for await (const page of this.#log.entries(seq)) {
      const manifests = page.flatMap(({ data, type }) => (type === 'turn.staged' ? [String(data.manifest_digest)] : []))
      const texts = await this.#log.load(manifests.map((key): Key => ({ view: 'object', key })))
      const textOf = new Map(manifests.map((digest, at) => [digest, String(texts[at])]))
      for (const entry of page) for (const digest of objectsOf(entry, (at) => textOf.get(at) ?? '')) named.add(digest)
    }
    return named
  }
}

const looksAtOnce = 256
