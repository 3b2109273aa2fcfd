import type { StagedSet } from '../domain/turn/triplet.ts'
import type { Entry } from '../kernel/entry.ts'
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
 * A digest that commands of this process are storing or dropping: how many commands, and the size at which they
 * began.
 */
interface Held {
  by: number
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
      const others = some.filter((digest) => !this.#held.has(digest))
      // Held before they are looked up, so that no other command drops one of them meanwhile.
      for (const digest of some) {
        const held = this.#held.get(digest)
        // An entry may have named an object since other commands began to store it.
        size = Math.min(size, held?.size ?? size)
        this.#held.set(digest, { by: (held?.by ?? 0) + 1, size: held?.size ?? size })
      }
      const absent = new Set(await this.#log.objects.missing(others))
      const stored = new Set(others.filter((digest) => !absent.has(digest)))
      for (const digest of some) {
        if (stored.has(digest)) this.#let(digest)
        else missing.set(digest, objects.get(digest) ?? '')
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
      for (const entry of page) for (const digest of namedBy(entry, (at) => textOf.get(at) ?? '')) named.add(digest)
    }
    return named
  }
}

const looksAtOnce = 256

/** The objects that an entry names, directly or through its manifest object. */
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
