import { isDeepStrictEqual } from 'node:util'
import type { Entry } from '../core/entry.ts'
import { differs } from '../log/corrupt.ts'
import type { Note } from '../log/objects.ts'
import { DerivedState, type ObjectText } from '../views/derived-state.ts'
import { namedBy } from './stored-objects.ts'

/**
 * Holds sovereign state to what the promoted turns come to, row by row, and the stored objects to what entries name:
 * none is missing or other than its digest says, none is there that no entry names, but those that are on their way.
 * Errors: VERIFY_FAILED (`state`, `objects`), LEDGER_CORRUPT. Memory: the state of all workspaces.
 */
export class TurnVerification {
  readonly #object: ObjectText
  readonly #state: DerivedState
  readonly #named = new Set<string>()
  readonly #noted = new Set<string>()
  /** Stored objects that no entry names; a note may come that does. */
  readonly #unnamed = new Set<string>()
  #found = 0

  constructor(object: ObjectText) {
    this.#object = object
    this.#state = new DerivedState(object)
  }

  next(entry: Entry): void {
    for (const digest of namedBy(entry, this.#object)) this.#named.add(digest)
    if (entry.type.startsWith('turn.')) this.#state.next(entry)
  }

  /** A row of sovereign state that is stored, after the last entry. */
  state(key: string, stored: unknown): void {
    const derived = this.#state.rows.get(key)
    if (derived === undefined || !isDeepStrictEqual(derived, stored)) {
      throw differs('state', `the row ${JSON.stringify(key)} of sovereign state is not what its turns give`, { key })
    }
    this.#state.rows.delete(key)
  }

  /** A piece of an object that is stored; its content is looked at once. */
  object(digest: string, piece: number): void {
    if (piece > 0) return
    this.#object(digest)
    if (this.#named.has(digest)) this.#found += 1
    else this.#unnamed.add(digest)
  }

  note({ digests }: Note): void {
    for (const digest of digests) this.#noted.add(digest)
  }

  /** After all that is stored. */
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
