import { isDeepStrictEqual } from 'node:util'
import type { LockEventData } from '../domain/lock/events.ts'
import { nameOfPath } from '../domain/lock/names.ts'
import { changesPaths, inTheWayOf, takeEvent } from '../domain/lock/paths/decide.ts'
import { placeOf } from '../domain/lock/paths/path.ts'
import { isPathRow, PathTree } from '../domain/lock/paths/tree.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'

/**
 * Replays the grants of paths: no grant may exclude one that is still held, each names the last grant of each of its paths
 * before it, and each end names a grant. Compares the stored rows of places with those that result. Errors: VERIFY_FAILED
 * (`paths`, `state`). Memory: the rows of all places.
 */
export class PathVerification implements Check {
  readonly #tree: PathTree = new PathTree(() => undefined)

  entry(entry: Entry): void {
    if (!changesPaths(entry.type)) return
    if (entry.type === 'lock.acquired') this.#compareGrant(entry as Entry<string, LockEventData<'lock.acquired'>>)
    takeEvent(this.#tree, entry)
  }

  /** Compares a stored row. Called after the last entry. */
  state(key: string, stored: unknown): void {
    if (!isPathRow(key)) return
    if (!isDeepStrictEqual(this.#tree.changes.get(key), stored)) {
      throw differs('state', `the row ${JSON.stringify(key)} of a path differs from its entries`, { key })
    }
    this.#tree.changes.delete(key)
  }

  /** Called after all stored rows. */
  end(): void {
    const [key] = this.#tree.changes.keys()
    if (key !== undefined) throw differs('state', `the row ${JSON.stringify(key)} of a path is missing`, { key })
  }

  #compareGrant({ data, seq }: Entry<string, LockEventData<'lock.acquired'>>): void {
    const { lock_ref, paths, previous = [], shared = false } = data
    if (paths === undefined) return
    for (const { found, name } of inTheWayOf(this.#tree, { paths, shared })) {
      const held = nameOfPath(found.path)
      const what = `entry ${seq} grants ${name} while ${held} is held under ${found.lock_ref}`
      throw differs('paths', what, { held_name: held, lock_ref, name, seq })
    }
    const last = paths.map((path) => this.#tree.node(placeOf(path)).last)
    if (isDeepStrictEqual(previous, last)) return
    throw differs('paths', `entry ${seq} does not name the last grants of its paths before it`, { lock_ref, seq })
  }
}
