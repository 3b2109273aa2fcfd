import type * as shapes from '../../api/shapes/locks.ts'
import { ignoresCase } from '../../disk/layout.ts'
import type { HolderSeen } from '../../domain/lock/commands.ts'
import { nameOfPath, pathLine, pathOf, streamOfPaths } from '../../domain/lock/names.ts'
import { inTheWayOf } from '../../domain/lock/paths/decide.ts'
import { isWithin, type Path, type PathsAsked, pathAt, placeOf } from '../../domain/lock/paths/path.ts'
import { type InTheWay, type PathNode, PathTree, pathRows } from '../../domain/lock/paths/tree.ts'
import type { Grant, LockState } from '../../domain/lock/state.ts'
import { byBytes } from '../../domain/turn/stem.ts'
import { type NamedPaths, namedPaths } from '../../files/paths/path-names.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import type { Core } from '../../writer/core.ts'
import { livenessOf } from '../../writer/holders.ts'
import { type HistoryPage, pageOf } from './grants.ts'
import { describeGrant } from './lock-status.ts'

/** The grants of paths that are probed before one acquisition. Others in its way count as alive. */
const probedMax = 64

/** Locks of files and subtrees: their names, who holds them, and what happened to them. */
export class PathLocks {
  readonly #core: Core
  #ignoresCase: boolean | undefined

  constructor(core: Core) {
    this.#core = core
  }

  /** The normal form of paths. `isSeen` is false for a caller on another machine. Errors: those of `namedPaths`. */
  named(texts: readonly string[], isSeen: boolean): NamedPaths {
    const { root } = this.#core.layout
    this.#ignoresCase ??= ignoresCase(root)
    return namedPaths(texts, { ignoresCase: this.#ignoresCase, isSeen, root })
  }

  /** Whether the holders of the grants in the way of a request are alive, as far as the machine tells. */
  async holdersInTheWay(asked: PathsAsked): Promise<HolderSeen[]> {
    const grants = await this.#grantsUnder((tree) => {
      const all: InTheWay[] = []
      for (const { found } of inTheWayOf(tree, asked)) if (all.push(found) === probedMax) break
      return all
    })
    return grants.map(seen)
  }

  /** The same for the grants of exactly this path. */
  async holdersOf(name: string): Promise<HolderSeen[]> {
    return (await this.#grantsOf(name)).map(seen)
  }

  /**
   * The state of a path's lock: the first grant that an exclusive request for the path would meet, or with `token` that
   * grant of the path.
   */
  async status(name: string, token: number | undefined): Promise<shapes.LockState> {
    const asked = { paths: [pathOf(name)], shared: false }
    const line = this.#core.waiters.lineOf(pathLine, asked)
    const own = await this.#grantsOf(name)
    const shown = own.find(({ grant }) => grant.token === token) ?? own[0] ?? (await this.#firstInTheWay(asked))
    if (shown === undefined) return { name, kind: 'path', state: 'free', ...line, last_seq: null }
    const { grant, last_seq, path } = shown
    const held = nameOfPath(path)
    const held_name = held === name ? undefined : held
    return { ...describeGrant(this.#core, grant), name, ...given({ held_name }), ...line, last_seq }
  }

  /** Every grant of paths, in no order; with `under`, those with a path in this subtree. Cost: a pass over all places. */
  async list(under: string | undefined): Promise<shapes.LockState[]> {
    const refs = new Set<string>()
    for await (const page of this.#core.log.scan('state', pathRows)) {
      for (const [key, node] of page) {
        const place = key.slice(pathRows.length)
        const isListed = under === undefined || isWithin(place === '' ? './' : place, under)
        if (isListed) for (const { lock_ref } of (node as PathNode).held) refs.add(lock_ref)
      }
    }
    const listed: shapes.LockState[] = []
    for (const ref of refs) {
      const row = await this.#core.views.row(streamOfPaths(ref))
      const grant = (row?.state as LockState | undefined)?.grant ?? null
      // The grant can have ended since its place was read.
      if (grant === null) continue
      listed.push(this.#described(grant, row?.last_seq ?? null))
    }
    return listed
  }

  /** The grants in the way of an exclusive request, in the order of their names. */
  async inTheWay(asked: PathsAsked): Promise<shapes.LockState[]> {
    const grants = await this.#grantsUnder((tree) => Array.from(inTheWayOf(tree, asked), ({ found }) => found))
    return grants.map(({ grant, last_seq }) => this.#described(grant, last_seq)).sort((a, b) => byBytes(a.name, b.name))
  }

  #described(grant: Grant, last_seq: number | null): shapes.LockState {
    const line = this.#core.waiters.lineOf(pathLine, { paths: grant.paths ?? [], shared: grant.shared === true })
    return { ...describeGrant(this.#core, grant), ...line, last_seq }
  }

  /**
   * The entries of the grants of exactly this path, the newest grant first. Shared grants overlap, so a page begins behind
   * the entry that the cursor names. Cost: one read for each entry.
   */
  history(name: string, page: HistoryPage): Promise<Entry[]> {
    let isBehind = page.cursor === undefined
    const isWanted = ({ seq }: Entry) => {
      const wasBehind = isBehind
      isBehind ||= seq === page.cursor
      return wasBehind
    }
    return pageOf(this.#entriesOf(name), isWanted, page)
  }

  async *#entriesOf(name: string): AsyncGenerator<Entry> {
    const place = placeOf(pathOf(name))
    const { views } = this.#core
    const places = [pathAt(place, false), pathAt(place, true)]
    let ref = (await views.untilLoaded(() => new PathTree(views.loaded.state).node(place))).last
    while (ref !== null) {
      let before: string | null = null
      for await (const entry of walked(views, await chainOfStream(views, streamOfPaths(ref)))) {
        yield entry
        if (entry.type !== 'lock.acquired') continue
        const { paths, previous } = entry.data as { paths: string[]; previous: (string | null)[] }
        before = previous[paths.findIndex((path) => places.includes(path))] ?? null
      }
      ref = before
    }
  }

  async #firstInTheWay(asked: PathsAsked): Promise<Shown | undefined> {
    const [first] = await this.#grantsUnder((tree) => {
      for (const { found } of inTheWayOf(tree, asked)) return [found]
      return []
    })
    return first
  }

  #grantsOf(name: string): Promise<Shown[]> {
    return this.#grantsUnder((tree) => tree.at(placeOf(pathOf(name))))
  }

  /** The published grants that a look at the places finds. */
  #grantsUnder(find: (tree: PathTree) => InTheWay[]): Promise<Shown[]> {
    const { views } = this.#core
    return views.untilLoaded(() =>
      find(new PathTree(views.loaded.state)).flatMap(({ lock_ref, path }) => {
        const row = views.loaded.row(streamOfPaths(lock_ref))
        const grant = (row?.state as LockState | undefined)?.grant ?? null
        return grant === null ? [] : [{ grant, last_seq: row?.last_seq ?? null, path }]
      }),
    )
  }
}

interface Shown {
  grant: Grant
  last_seq: number | null
  /** The path that the grant was found by. */
  path: Path
}

function seen({ grant }: Shown): HolderSeen {
  const liveness = livenessOf(grant)
  return { alive: liveness.alive, ...(liveness.alive === 'no' ? { reason: liveness.reason } : {}), token: grant.token }
}
