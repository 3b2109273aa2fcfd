import { isDeepStrictEqual } from 'node:util'
import { erasedBy, objectsOf } from '../domain/aggregates.ts'
import { isPathRow } from '../domain/lock/paths/tree.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { Note } from '../log/log-parts.ts'
import { DerivedState } from '../views/derived-state.ts'

/** Reads and checks the text of a stored object, and says which entry a mark of an erasure names. */
export interface StoredTexts {
  erasedAt: (digest: string) => number | undefined
  object: (digest: string) => string
}

/**
 * Compares every row of sovereign state with the state derived from promoted turns. Also compares stored objects with
 * the entries: each named object must exist and match its digest, or be erased by a later entry. An object that no entry names needs a note, which
 * shows that it is still being stored. Errors: VERIFY_FAILED (`state`, `objects`), LEDGER_CORRUPT. Memory: the state
 * of all workspaces.
 */
export class TurnVerification implements Check {
  readonly #object: (digest: string) => string
  readonly #erasedAt: (digest: string) => number | undefined
  readonly #state: DerivedState
  readonly #named = new Set<string>()
  /** The objects that were erased and not named since, with the seqs of the entries that record it. */
  readonly #erased = new Map<string, number>()
  /** Where the last salvage ended. An erasure behind it left its mark, but not its entry. */
  #salvaged = Number.POSITIVE_INFINITY
  readonly #noted = new Set<string>()
  /** Stored objects that no entry names; a note for them may still follow. */
  readonly #unnamed = new Set<string>()
  #found = 0

  constructor({ erasedAt, object }: StoredTexts) {
    this.#object = object
    this.#erasedAt = erasedAt
    this.#state = new DerivedState((digest) => JSON.parse(object(digest)))
  }

  entry(entry: Entry): void {
    for (const { digest } of objectsOf(entry, this.#object)) {
      this.#named.add(digest)
      this.#erased.delete(digest)
    }
    if (entry.type === 'ledger.restored' && entry.data.by === 'salvage') this.#salvaged = entry.seq
    for (const digest of erasedBy(entry)) {
      if (!this.#named.delete(digest) && !this.#erased.has(digest)) {
        throw differs('objects', `entry ${entry.seq} erases the object ${digest}, which no entry names`, {
          digest,
          seq: entry.seq,
        })
      }
      this.#erased.set(digest, entry.seq)
    }
    if (entry.type.startsWith('turn.')) this.#state.next(entry)
  }

  /** Compares a stored row of sovereign state. Called after the last entry. */
  state(key: string, stored: unknown): void {
    if (isPathRow(key)) return
    const derived = this.#state.rows.get(key)
    if (derived === undefined || !isDeepStrictEqual(derived, stored)) {
      throw differs('state', `the row ${JSON.stringify(key)} of sovereign state differs from its promoted turns`, {
        key,
      })
    }
    this.#state.rows.delete(key)
  }

  /** Takes a piece of a stored object. The content is checked once, at its first piece. */
  object(digest: string, piece: number): void {
    if (piece > 0) return
    const seq = this.#erasedAt(digest)
    if (seq !== undefined) this.#compareErasure(digest, seq)
    else this.#object(digest)
    if (seq !== undefined) return
    if (this.#named.has(digest)) this.#found += 1
    else this.#unnamed.add(digest)
  }

  /** The mark in the place of an erased object names the last entry that erased it. */
  #compareErasure(digest: string, seq: number): void {
    const isLost = seq >= this.#salvaged && !this.#erased.has(digest) && this.#named.delete(digest)
    if (this.#erased.get(digest) !== seq && !isLost) {
      throw differs('objects', `the object ${digest} is marked as erased, but entry ${seq} does not erase it`, {
        digest,
        seq,
      })
    }
    this.#erased.delete(digest)
  }

  note({ digests }: Note): void {
    for (const digest of digests) this.#noted.add(digest)
  }

  /** Called after all stored rows, objects and notes. */
  end(): void {
    const [key] = this.#state.rows.keys()
    if (key !== undefined) {
      throw differs('state', `the row ${JSON.stringify(key)} of sovereign state is missing`, { key })
    }
    if (this.#found !== this.#named.size) {
      throw differs('objects', `${this.#named.size - this.#found} objects that entries name are missing`)
    }
    for (const digest of this.#unnamed) {
      const seq = this.#erased.get(digest)
      const what =
        seq === undefined ? `no entry names the object ${digest}` : `entry ${seq} erased the object ${digest}`
      if (!this.#noted.has(digest)) throw differs('objects', what, { digest })
      this.#erased.delete(digest)
    }
    const [digest] = this.#erased.keys()
    if (digest !== undefined) throw differs('objects', `the mark of the erased object ${digest} is missing`, { digest })
  }
}
