import {
  isTree,
  lastSegment,
  type Path,
  type PathsAsked,
  pathAt,
  placeAbove,
  placeBelow,
  placeOf,
  rootPlace,
} from './path.ts'

/** A grant of exactly this place, as a file or as a subtree. */
interface Hold {
  is_shared: boolean
  is_tree: boolean
  lock_ref: string
}

/**
 * Grants of one mode. `below` counts those of places below. A place with any such grant, at it or below it, is in the
 * list of its parent: `child` begins the list of this place, and `next` and `previous` are the neighbours in the list
 * that this place belongs to. So a grant below a subtree is found without a search among all locks.
 */
interface Thread {
  below: number
  child: string | null
  next: string | null
  previous: string | null
}

/** The row of a place. `last` is the lock_ref of the last grant of exactly this place. */
export interface PathNode {
  exclusive: Thread
  held: Hold[]
  last: string | null
  shared: Thread
}

type Mode = 'exclusive' | 'shared'

const rowPrefix = 'path/'

/** The key of a place's row in the state that derives from entries. */
export function pathRow(place: string): string {
  return rowPrefix + place
}

/** The prefix of the rows of all places from a place on, and whether a key is that of such a row. */
export const pathRows = rowPrefix
export function isPathRow(key: string): boolean {
  return key.startsWith(rowPrefix)
}

/** A grant that is in the way of another: which, and of which path. */
export interface InTheWay {
  lock_ref: string
  path: Path
}

/**
 * The places of path locks, over rows. Rows are read with `state`; changed rows are copies, kept in `changes`. Cost of a
 * change: the row of the place, one for each place above it, and up to two neighbours in each list that it enters or
 * leaves, however many locks are held.
 */
export class PathTree {
  readonly changes = new Map<string, PathNode>()
  readonly #state: (key: string) => unknown

  constructor(state: (key: string) => unknown) {
    this.#state = state
  }

  node(place: string): PathNode {
    const key = pathRow(place)
    return this.changes.get(key) ?? (this.#state(key) as PathNode | undefined) ?? noNode
  }

  /** Adds the grant of a path. */
  hold(path: Path, { is_shared, lock_ref }: Pick<Hold, 'is_shared' | 'lock_ref'>): void {
    const place = placeOf(path)
    const mode = modeOf(is_shared)
    const node = this.#edited(place)
    let isNew = countOf(node, mode) === 0
    node.held.push({ is_shared, is_tree: isTree(path), lock_ref })
    node.last = lock_ref
    for (let below = place; below !== rootPlace; below = placeAbove(below)) {
      const above = this.#edited(placeAbove(below))
      const wasEmpty = countOf(above, mode) === 0
      if (isNew) this.#link(below, above, mode)
      above[mode].below += 1
      isNew = wasEmpty
    }
  }

  /** Removes a grant from a path that it holds. */
  free(path: Path, lockRef: string): void {
    const place = placeOf(path)
    const node = this.#edited(place)
    const at = node.held.findIndex(({ lock_ref }) => lock_ref === lockRef)
    const [hold] = at === -1 ? [] : node.held.splice(at, 1)
    if (hold === undefined) return
    const mode = modeOf(hold.is_shared)
    let isEmpty = countOf(node, mode) === 0
    for (let below = place; below !== rootPlace; below = placeAbove(below)) {
      const above = this.#edited(placeAbove(below))
      if (isEmpty) this.#unlink(below, above, mode)
      above[mode].below -= 1
      isEmpty = countOf(above, mode) === 0
    }
  }

  /** The grants of exactly this place. */
  at(place: string): InTheWay[] {
    return this.node(place).held.map(({ is_tree, lock_ref }) => ({ lock_ref, path: pathAt(place, is_tree) }))
  }

  /** The grants that exclude a request for a path: those of its own place, of subtrees above it, and those below it. */
  *inTheWayOf(path: Path, { shared }: Pick<PathsAsked, 'shared'>): Generator<InTheWay> {
    yield* this.covering(path, { shared })
    if (!isTree(path)) return
    yield* this.#below(placeOf(path), 'exclusive')
    if (!shared) yield* this.#below(placeOf(path), 'shared')
  }

  /** The same without those below it. */
  *covering(path: Path, { shared }: Pick<PathsAsked, 'shared'>): Generator<InTheWay> {
    const own = placeOf(path)
    for (let place = own; ; place = placeAbove(place)) {
      for (const { is_shared, is_tree, lock_ref } of this.node(place).held) {
        const isInTheWay = (place === own || is_tree) && !(is_shared && shared)
        if (isInTheWay) yield { lock_ref, path: pathAt(place, is_tree) }
      }
      if (place === rootPlace) return
    }
  }

  *#below(place: string, mode: Mode): Generator<InTheWay> {
    let segment = this.node(place)[mode].child
    while (segment !== null) {
      const child = placeBelow(place, segment)
      const { held, [mode]: thread } = this.node(child)
      for (const { is_shared, is_tree, lock_ref } of held) {
        if (modeOf(is_shared) === mode) yield { lock_ref, path: pathAt(child, is_tree) }
      }
      yield* this.#below(child, mode)
      segment = thread.next
    }
  }

  /** Puts a place at the beginning of its parent's list. */
  #link(place: string, above: PathNode, mode: Mode): void {
    const list = above[mode]
    const thread = this.#edited(place)[mode]
    thread.next = list.child
    if (list.child !== null) this.#beside(place, list.child)[mode].previous = lastSegment(place)
    list.child = lastSegment(place)
  }

  #unlink(place: string, above: PathNode, mode: Mode): void {
    const list = above[mode]
    const thread = this.#edited(place)[mode]
    const { next, previous } = thread
    if (previous === null) list.child = next
    else this.#beside(place, previous)[mode].next = next
    if (next !== null) this.#beside(place, next)[mode].previous = previous
    thread.next = null
    thread.previous = null
  }

  #beside(place: string, segment: string): PathNode {
    return this.#edited(placeBelow(placeAbove(place), segment))
  }

  /** The row of a place to be changed. Rows that were read are shared with others, so they are copied once. */
  #edited(place: string): PathNode {
    const key = pathRow(place)
    const known = this.changes.get(key)
    if (known !== undefined) return known
    const { exclusive, held, last, shared } = this.node(place)
    const copy = { exclusive: { ...exclusive }, held: [...held], last, shared: { ...shared } }
    this.changes.set(key, copy)
    return copy
  }
}

const noThread: Thread = { below: 0, child: null, next: null, previous: null }
const noNode: PathNode = { exclusive: noThread, held: [], last: null, shared: noThread }

function modeOf(isShared: boolean): Mode {
  return isShared ? 'shared' : 'exclusive'
}

/** The grants of a mode at a place and below it. */
function countOf(node: PathNode, mode: Mode): number {
  let count = node[mode].below
  for (const { is_shared } of node.held) if (modeOf(is_shared) === mode) count += 1
  return count
}
