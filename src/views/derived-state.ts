import { createHash } from 'node:crypto'
import { changesPaths, takeEvent } from '../domain/lock/paths/decide.ts'
import { PathTree } from '../domain/lock/paths/tree.ts'
import { effectOf } from '../domain/turn/effect.ts'
import type { TurnEventData } from '../domain/turn/events.ts'
import type { RefRecord, Source, StagedSet, Triplet } from '../domain/turn/triplet.ts'
import { type IdentityRow, identityRows, sourceRows, tripletRows } from '../domain/turn/workspace.ts'
import { canonicalText, type Json } from '../kernel/canonical.ts'
import type { LoadedState } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'

/** Returns the parsed value of an object. Sovereign state is derived from entries and objects. */
export type ObjectValue = (digest: string) => unknown

/**
 * The changes that an entry makes to sovereign state and to the rows of path locks, given the state before it. Errors:
 * LEDGER_CORRUPT (an object is missing).
 */
export function changesOf(
  entry: Entry,
  state: (key: string) => unknown,
  object: ObjectValue,
): ReadonlyMap<string, unknown> {
  if (changesPaths(entry.type)) {
    const tree = new PathTree(state)
    takeEvent(tree, entry)
    return tree.changes
  }
  if (entry.type !== 'turn.promoted') return nothing
  const { manifest_digest, run_id, turn_id, workspace } = entry.data as TurnEventData<'turn.promoted'>
  if (manifest_digest === null) return nothing
  const set = object(manifest_digest) as StagedSet
  const rows: LoadedState = {
    get: () => undefined,
    state,
    object,
    digest: () => '',
  }
  return effectOf({ run_id, set, turn_id, workspace }, rows).changes
}

const nothing: ReadonlyMap<string, unknown> = new Map()

/** Sovereign state in memory, derived from one entry after another. */
export class DerivedState {
  readonly rows = new Map<string, unknown>()
  readonly #object: ObjectValue

  constructor(object: ObjectValue) {
    this.#object = object
  }

  next(entry: Entry): void {
    for (const [key, row] of changesOf(entry, (at) => this.rows.get(at), this.#object)) {
      if (row === undefined) this.rows.delete(key)
      else this.rows.set(key, row)
    }
  }
}

/** Yields the rows whose key begins with a prefix, in the order of their keys. */
export type ScanState = (prefix: string) => AsyncIterable<readonly [string, unknown]>

/** The triplets of a workspace, in the order of their stems. */
export async function* tripletsIn(scan: ScanState, workspace: string): AsyncGenerator<Triplet> {
  for await (const [, row] of scan(tripletRows(workspace))) yield row as Triplet
}

/** The refs/by_id records of a workspace, in the order of type and id, including those without remaining sources. */
export async function* refsIn(scan: ScanState, workspace: string): AsyncGenerator<RefRecord> {
  for await (const [, row] of scan(identityRows(workspace))) {
    const { id, sources: count, type } = row as IdentityRow
    if (count === null) continue
    const sources: Source[] = []
    if (count > 0)
      for await (const [, source] of scan(sourceRows(workspace, { id, type }))) sources.push(source as Source)
    yield { id, sources, type }
  }
}

/**
 * The state_digest of a workspace: a SHA-256 over lines of canonical JSON. First come its triplets in the order of
 * their stems, then its refs records that have sources, in the order of type and id. Each line ends with a newline.
 * Two machines with the same promoted state get the same digest.
 */
export async function stateDigest(scan: ScanState, workspace: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const triplet of tripletsIn(scan, workspace)) hash.update(`${canonicalText(triplet as unknown as Json)}\n`)
  for await (const record of refsIn(scan, workspace)) {
    if (record.sources.length > 0) hash.update(`${canonicalText(record as unknown as Json)}\n`)
  }
  return hash.digest('hex')
}
