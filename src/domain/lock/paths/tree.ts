import { limits } from '../../../kernel/limits.ts'
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
 * Grants of one mode; never changed, but replaced. `below` counts those of places below. A place with any such grant, at it or below it, is in the
 * list of its parent: `child` begins the list of this place, and `next` and `previous` are the neighbours in the list
 * that this place belongs to. So a grant below a subtree is found without a search among all locks.
 */
interface Thread {
  readonly below: number
  readonly child: string | null
  readonly next: string | null
  readonly previous: string | null
}

/** The row of a place. `last` is the lock_ref of the last grant of exactly this place. */
export interface PathNode {
  exclusive: Thread
  held: readonly Hold[]
  last: string | null
  shared: Thread
}

type Mode = 'exclusive' | 'shared'

/** The prefix of the keys of rows in the state that derives from entries. */
export const pathRows = 'path/'

/** Whether a key is that of a row of a place. */
export function isPathRow(key: string): boolean {
  return key.startsWith(pathRows)
}

/** The keys of the rows of a path's place and of all places above it, up to the root. */
export function rowsOf(path: Path): string[] {
  return stepsFrom(placeOf(path)).map(({ row }) => row)
}

interface Step {
  place: string
  row: string
}

/**
 * A place and all above it, up to the root. They are kept, because the same places are looked up many times for one
 * request, and each look-up of a new string hashes it.
 */
function stepsFrom(place: string): readonly Step[] {
  let steps = known.get(place)
  if (steps === undefined) {
    const above = place === rootPlace ? [] : stepsFrom(placeAbove(place))
    steps = [{ place, row: pathRows + place }, ...above]
    if (known.size >= limits.knownPlacesMax) known.clear()
    known.set(place, steps)
  }
  return steps
}

const known = new Map<string, readonly Step[]>()

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
    return this.#read(pathRows + place)
  }

  /** Adds the grant of a path. */
  hold(path: Path, { is_shared, lock_ref }: Pick<Hold, 'is_shared' | 'lock_ref'>): void {
    const steps = stepsFrom(placeOf(path))
    const node = this.#edited(steps[0]?.row ?? '')
    const wasEmpty = countOf(node, modeOf(is_shared)) === 0
    node.held = [...node.held, { is_shared, is_tree: isTree(path), lock_ref }]
    node.last = lock_ref
    this.#countAbove(steps, modeOf(is_shared), { by: 1, isMoved: wasEmpty })
  }

  /** Removes a grant from a path that it holds. */
  free(path: Path, lockRef: string): void {
    const steps = stepsFrom(placeOf(path))
    const node = this.#edited(steps[0]?.row ?? '')
    const hold = node.held.find(({ lock_ref }) => lock_ref === lockRef)
    if (hold === undefined) return
    node.held = node.held.filter((other) => other !== hold)
    const mode = modeOf(hold.is_shared)
    this.#countAbove(steps, mode, { by: -1, isMoved: countOf(node, mode) === 0 })
  }

  /**
   * Changes the counts of the places above the first one. A place that enters or leaves its parent's list is moved: at
   * first that with the grant, and then each whose only grant this was, or now is.
   */
  #countAbove(steps: readonly Step[], mode: Mode, { by, isMoved }: { by: 1 | -1; isMoved: boolean }): void {
    let moves = isMoved
    for (let at = 1; at < steps.length; at += 1) {
      const [below, above] = [steps[at - 1], steps[at]] as [Step, Step]
      const node = this.#edited(above.row)
      const before = countOf(node, mode)
      if (moves && by === 1) this.#link(below, node, mode)
      if (moves && by === -1) this.#unlink(below, node, mode)
      const thread = node[mode]
      node[mode] = { ...thread, below: thread.below + by }
      moves = (by === 1 ? before : before - 1) === 0
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
    for (const { place, row } of stepsFrom(own)) {
      for (const { is_shared, is_tree, lock_ref } of this.#read(row).held) {
        const isInTheWay = (place === own || is_tree) && !(is_shared && shared)
        if (isInTheWay) yield { lock_ref, path: pathAt(place, is_tree) }
      }
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
  #link({ place, row }: Step, above: PathNode, mode: Mode): void {
    const { child } = above[mode]
    const segment = lastSegment(place)
    const node = this.#edited(row)
    node[mode] = { ...node[mode], next: child, previous: null }
    if (child !== null) this.#change(placeBelow(placeAbove(place), child), mode, { previous: segment })
    above[mode] = { ...above[mode], child: segment }
  }

  #unlink({ place, row }: Step, above: PathNode, mode: Mode): void {
    const node = this.#edited(row)
    const { next, previous } = node[mode]
    const parent = placeAbove(place)
    if (previous === null) above[mode] = { ...above[mode], child: next }
    else this.#change(placeBelow(parent, previous), mode, { next })
    if (next !== null) this.#change(placeBelow(parent, next), mode, { previous })
    node[mode] = { ...node[mode], next: null, previous: null }
  }

  #change(place: string, mode: Mode, change: Partial<Thread>): void {
    const node = this.#edited(pathRows + place)
    node[mode] = { ...node[mode], ...change }
  }

  #read(row: string): PathNode {
    return this.changes.get(row) ?? (this.#state(row) as PathNode | undefined) ?? noNode
  }

  /** The row of a place to be changed. Rows that were read are shared with others, so a row is copied once. */
  #edited(row: string): PathNode {
    const known = this.changes.get(row)
    if (known !== undefined) return known
    const { exclusive, held, last, shared } = this.#read(row)
    const copy = { exclusive, held, last, shared }
    this.changes.set(row, copy)
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
