import { isDeepStrictEqual } from 'node:util'
import { objectsOf } from '../domain/aggregates.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { Note } from '../log/log.ts'
import { DerivedState } from '../views/derived-state.ts'

/**
 * Compares every row of sovereign state with the state derived from promoted turns. Also compares stored objects with
 * the entries: each named object must exist and match its digest. An object that no entry names needs a note, which
 * shows that it is still being stored. Errors: VERIFY_FAILED (`state`, `objects`), LEDGER_CORRUPT. Memory: the state
 * of all workspaces.
 */
export class TurnVerification implements Check {
  readonly #object: (digest: string) => string
  readonly #state: DerivedState
  readonly #named = new Set<string>()
  readonly #noted = new Set<string>()
  /** Stored objects that no entry names; a note for them may still follow. */
  readonly #unnamed = new Set<string>()
  #found = 0

  /** `object` reads and checks the text of a stored object. */
  constructor(object: (digest: string) => string) {
    this.#object = object
    this.#state = new DerivedState((digest) => JSON.parse(object(digest)))
  }

  entry(entry: Entry): void {
    for (const digest of objectsOf(entry, this.#object)) this.#named.add(digest)
    if (entry.type.startsWith('turn.')) this.#state.next(entry)
  }

  /** Compares a stored row of sovereign state. Called after the last entry. */
  state(key: string, stored: unknown): void {
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
    this.#object(digest)
    if (this.#named.has(digest)) this.#found += 1
    else this.#unnamed.add(digest)
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
      if (!this.#noted.has(digest)) throw differs('objects', `no entry names the object ${digest}`, { digest })
    }
  }
}
