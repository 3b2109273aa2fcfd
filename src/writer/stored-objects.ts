import type { Log } from '../log/log.ts'
import { namedObjects } from '../views/named-objects.ts'
import { unavailable } from './unavailable.ts'

/** Objects that were stored for a command that is not decided yet. */
export interface Stored {
  /** All objects of the command, also those that were there before. */
  all: readonly string[]
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
  /** How many commands are under way with a digest, from its look-up to the end of the command. */
  readonly #used = new Map<string, number>()
  /** The digests of an erasure that is under way, with its end. */
  readonly #erasing = new Map<string, Promise<void>>()
  /** The erasures that wait for the end of a command. */
  #waiting: (() => void)[] = []

  constructor(log: Log) {
    this.#log = log
  }

  /**
   * Stores missing objects in several synced writes, so that other commands can write in between. Errors:
   * LEDGER_UNAVAILABLE.
   */
  async store(objects: ReadonlyMap<string, string>): Promise<Stored> {
    await this.#reserve([...objects.keys()])
    try {
      return { ...(await this.#store(objects)), all: [...objects.keys()] }
    } catch (error) {
      this.#unreserve(objects.keys())
      throw error
    }
  }

  /**
   * Does work while no command is under way with any of these objects. Commands that want to store one of them begin
   * afterwards. So an entry that names an object is either known to the work, or comes after it.
   */
  async alone<T>(digests: readonly string[], work: () => Promise<T>): Promise<T> {
    let end = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    await this.#free(digests)
    for (const digest of digests) this.#erasing.set(digest, ended)
    try {
      while (digests.some((digest) => this.#used.has(digest)))
        await new Promise<void>((resolve) => void this.#waiting.push(resolve))
      return await work()
    } finally {
      for (const digest of digests) this.#erasing.delete(digest)
      end()
    }
  }

  /** Resolves when none of these objects is being erased. */
  async #free(digests: readonly string[]): Promise<void> {
    const first = () => digests.find((digest) => this.#erasing.has(digest))
    for (let digest = first(); digest !== undefined; digest = first()) await this.#erasing.get(digest)
  }

  async #reserve(digests: readonly string[]): Promise<void> {
    await this.#free(digests)
    for (const digest of digests) this.#used.set(digest, (this.#used.get(digest) ?? 0) + 1)
  }

  #unreserve(digests: Iterable<string>): void {
    for (const digest of digests) {
      const by = this.#used.get(digest) ?? 0
      if (by > 1) this.#used.set(digest, by - 1)
      else this.#used.delete(digest)
    }
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async #store(objects: ReadonlyMap<string, string>): Promise<Omit<Stored, 'all'>> {
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
  release({ all, digests }: Stored): void {
    this.#unreserve(all)
    for (const digest of digests) this.#let(digest)
  }

  /** Called when the command was refused: drops objects that no entry names and no other command stores. */
  async drop(stored: Stored): Promise<void> {
    try {
      await this.#drop(stored)
    } finally {
      this.#unreserve(stored.all)
    }
  }

  async #drop(stored: Stored): Promise<void> {
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
    for await (const { objects } of namedObjects(this.#log, seq)) for (const { digest } of objects) named.add(digest)
    return named
  }
}

const looksAtOnce = 256
