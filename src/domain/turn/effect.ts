import type { LoadedState, StateChanges } from '../../kernel/decider.ts'
import { type Issue, notice } from './issue.ts'
import type { Identity } from './links.ts'
import { foldOf } from './stem.ts'
import { isEmptySet, type StagedSet, type StagedTriplet, type Triplet } from './triplet.ts'
import { carriedBy, foldKey, type IdentityRow, identityKey, sourceKey, tripletKey, Workspace } from './workspace.ts'

/** One turn to be promoted: the staged proposal, the run, and the workspace. */
export interface Promotion {
  run_id: string
  set: StagedSet
  turn_id: string
  workspace: string
}

/** The effect of a promotion: every row that it changes, and its notices. */
export interface Effect {
  changes: StateChanges
  deleted: string[]
  issues: Issue[]
  promoted: string[]
  /** The records that the promotion wrote, in the order of their stems. */
  records: Triplet[]
}

/**
 * The effect of a promotion on sovereign state (Run Lifecycle Contract, Pruning Rule). Removals come before insertions,
 * so that an identity can move to another stem, and a stem can be deleted and created again, in one turn. Decisions,
 * replay and verification all use this function. Cost: a few rows for each stem and ref of the turn, however large the
 * workspace.
 */
export function effectOf(promotion: Promotion, rows: LoadedState): Effect {
  return new Effecting(promotion, rows).run()
}

class Effecting {
  readonly #promotion: Promotion
  readonly #before: Workspace
  readonly #changes = new Map<string, unknown>()
  readonly #identities = new Map<string, { before: IdentityRow | undefined; now: IdentityRow }>()
  readonly #effect = {
    deleted: [] as string[],
    issues: [] as Issue[],
    promoted: [] as string[],
    records: [] as Triplet[],
  }
  /** The identities whose sources change or that lose their carrier, by key. */
  readonly #targets = new Set<string>()
  readonly #orphaned = new Map<string, string>()

  constructor(promotion: Promotion, rows: LoadedState) {
    this.#promotion = promotion
    this.#before = new Workspace(promotion.workspace, rows)
  }

  run(): Effect {
    const { set } = this.#promotion
    const before = set.triplets.map(({ stem }) => this.#before.triplet(stem))
    set.triplets.forEach((staged, index) => void this.#remove(before[index], staged))
    this.#delete(new Set(set.triplets.map(({ stem }) => stem)))
    set.triplets.forEach((staged, index) => void this.#insert(staged, before[index]))
    this.#keepIdentities()
    if (isEmptySet(set)) this.#effect.issues.push(notice('I_NOOP_PROMOTION', 'promotion', {}))
    return { ...this.#effect, changes: this.#changes }
  }

  /** Stems with a tombstone. A stem that is also staged is created again. */
  #delete(restaged: ReadonlySet<string>): void {
    const { set, workspace } = this.#promotion
    for (const { stem } of set.tombstones) {
      const old = this.#before.triplet(stem)
      if (old === undefined) this.#effect.issues.push(notice('I_TOMBSTONE_UNKNOWN_STEM', 'tombstones', { stem }))
      if (old === undefined || restaged.has(stem)) continue
      this.#remove(old)
      this.#changes.set(tripletKey(workspace, stem), undefined)
      const fold = foldOf(stem)
      if (fold !== stem) this.#changes.set(foldKey(workspace, fold), undefined)
      this.#effect.deleted.push(stem)
    }
  }

  /** Removes a stem from the index: its identity, and its sources unless its links do not change. */
  #remove(old: Triplet | undefined, next?: StagedTriplet): void {
    if (old === undefined) return
    const identity = carriedBy(old)
    if (identity !== undefined) {
      const row = this.#identity(identity)
      if (row.carrier === old.stem) row.carrier = null
      this.#orphaned.set(identityKey(this.#before.name, identity), old.stem)
    }
    if (next?.links_digest === old.links_digest) return
    for (const ref of this.#before.refs(old.links_digest, old.stem)) {
      this.#changes.set(sourceKey(this.#before.name, ref, { location: ref.location, stem: old.stem }), undefined)
      this.#count(ref, -1)
    }
  }

  #insert(staged: StagedTriplet, old: Triplet | undefined): void {
    const { run_id, turn_id, workspace } = this.#promotion
    const { body_digest, dto_type, id, links_digest, manifest_digest, stem } = staged
    const triplet = { body_digest, dto_type, id, links_digest, manifest_digest, run_id, stem, updated_at_turn: turn_id }
    this.#changes.set(tripletKey(workspace, stem), triplet)
    this.#effect.promoted.push(stem)
    this.#effect.records.push(triplet)
    const fold = foldOf(stem)
    if (fold !== stem) this.#changes.set(foldKey(workspace, fold), stem)
    const identity = carriedBy(triplet)
    if (identity !== undefined) this.#identity(identity).carrier = stem
    if (old?.links_digest === links_digest) return
    for (const ref of this.#before.refs(links_digest, stem)) {
      const { location, relationship } = ref
      const source = { artifact_digest: links_digest, location, relationship, stem }
      this.#changes.set(sourceKey(workspace, ref, source), source)
      this.#count(ref, 1)
    }
  }

  /** The row of an identity, ready to be changed. */
  #identity({ id, type }: Identity): IdentityRow {
    const key = identityKey(this.#before.name, { id, type })
    let row = this.#identities.get(key)
    if (row === undefined) {
      const before = this.#before.identity({ id, type })
      row = { before, now: { carrier: before?.carrier ?? null, id, sources: before?.sources ?? null, type } }
      this.#identities.set(key, row)
    }
    return row.now
  }

  #count(target: Identity, difference: number): void {
    const row = this.#identity(target)
    row.sources = (row.sources ?? 0) + difference
    this.#targets.add(identityKey(this.#before.name, target))
  }

  /** Unchanged rows are not written. The row of an identity without a carrier that was never a target is deleted. */
  #keepIdentities(): void {
    for (const [key, { before, now }] of this.#identities) {
      const { carrier, id, sources, type } = now
      const isGone = carrier === null && sources === null
      if (carrier !== (before?.carrier ?? null) || sources !== (before?.sources ?? null)) {
        this.#changes.set(key, isGone ? undefined : now)
      }
      const orphan = this.#orphaned.get(key)
      if (carrier === null && orphan !== undefined && sources !== null && sources > 0) {
        this.#effect.issues.push(notice('I_LSI_DANGLING_SOURCE', 'lsi', { id, sources, stem: orphan, type }))
      }
      if (this.#targets.has(key) && sources !== null && sources > 1) {
        this.#effect.issues.push(notice('I_REF_MULTISOURCE', 'lsi', { id, sources, type }))
      }
    }
  }
}
