import type { LoadedState } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import type { Promotion } from './effect.ts'
import { errorIssue, type Issue, notice } from './issue.ts'
import type { Identity } from './links.ts'
import {
  emptyObjectDigest,
  isEmptySet,
  type StagedTombstone,
  type StagedTriplet,
  type Triplet,
  tripletText,
} from './triplet.ts'
import { carriedBy, identityKey, Workspace } from './workspace.ts'

/**
 * The checks of a turn against its workspace, in three groups: its deletes, the bodies that it is based on, and the
 * integrity of its links and identities. Each group reports every problem. Cost: a few rows for each stem and ref of
 * the turn.
 */
export class TurnChecks {
  readonly #demandsBase: boolean
  readonly #digest: LoadedState['digest']
  readonly #promotion: Promotion
  readonly #workspace: Workspace
  readonly #staged: ReadonlyMap<string, StagedTriplet>
  readonly #deleted: ReadonlySet<string>

  /** With `demandsBase`, a stem that another run wrote may be changed only by a turn that states its `base_digest`. */
  constructor(promotion: Promotion, rows: LoadedState, { demandsBase }: { demandsBase: boolean }) {
    const { triplets, tombstones } = promotion.set
    this.#demandsBase = demandsBase
    this.#digest = (text) => rows.digest(text)
    this.#promotion = promotion
    this.#workspace = new Workspace(promotion.workspace, rows)
    this.#staged = new Map(triplets.map((triplet) => [triplet.stem, triplet]))
    this.#deleted = new Set(tombstones.map(({ stem }) => stem))
  }

  /** All checks, for a verdict. */
  all(): Issue[] {
    const empty = isEmptySet(this.#promotion.set) ? [notice('I_STAGING_EMPTY', 'stage', {})] : []
    return [...empty, ...this.deletes(), ...this.bases(), ...this.integrity()]
  }

  /** E_TOMBSTONE_INVALID, E_DELETE_MISSING_TOMBSTONE. */
  deletes(): Issue[] {
    const { delete_stem, tombstones } = this.#promotion.set
    const issues: Issue[] = []
    for (const { dto_type, id, stem } of tombstones) {
      const promoted = this.#workspace.triplet(stem)
      const identity = promoted && carriedBy(promoted)
      if (identity === undefined || (identity.type === dto_type && identity.id === id)) continue
      const details = { dto_type, id, promoted_dto_type: identity.type, promoted_id: identity.id, stem }
      const message = 'the identity in the tombstone differs from the promoted identity'
      issues.push(errorIssue('E_TOMBSTONE_INVALID', { details, location: '/id', message, stage: 'tombstones' }))
    }
    for (const stem of delete_stem) {
      if (this.#deleted.has(stem)) continue
      const message = 'delete_stem names a stem without a tombstone'
      const facts = { details: { stem }, location: '/delete_stem', message, stage: 'tombstones' as const }
      issues.push(errorIssue('E_DELETE_MISSING_TOMBSTONE', facts))
    }
    return issues
  }

  /** E_PROMOTION_CONFLICT. */
  bases(): Issue[] {
    const { tombstones, triplets } = this.#promotion.set
    const issues: Issue[] = []
    for (const change of [...triplets, ...tombstones]) {
      const { base_digest, stem } = change
      const current = this.#workspace.triplet(stem)
      const message = this.#wrongBase(change, current)
      if (message === undefined) continue
      const details = { ...given({ base_digest }), current_digest: current?.body_digest ?? null, stem }
      issues.push(errorIssue('E_PROMOTION_CONFLICT', { details, location: '/base_digest', message, stage: 'base' }))
    }
    return issues
  }

  /** The problem with the base that a change states: the digest of the promoted body, or of the whole triplet. */
  #wrongBase(change: StagedTriplet | StagedTombstone, current: Triplet | undefined): string | undefined {
    const { base_digest } = change
    const isOfOther = this.#demandsBase && current !== undefined && current.run_id !== this.#promotion.run_id
    if (base_digest === undefined) {
      return isOfOther ? `${current.run_id} wrote the promoted body, so base_digest is required` : undefined
    }
    if (current !== undefined && base_digest === this.#digest(tripletText(current))) return undefined
    if (base_digest !== (current?.body_digest ?? null)) {
      return 'the promoted body differs from the body that the turn is based on'
    }
    if (!isOfOther || keepsParts(change, current)) return undefined
    return `${current.run_id} wrote links or a manifest that the turn changes, so base_digest must be the triplet_digest`
  }

  /** E_STEM_COLLISION, E_LSI_DUPLICATE_IDENTITY, E_LSI_ORPHAN_TARGET. */
  integrity(): Issue[] {
    const issues: Issue[] = []
    const carriers = this.#carriers(issues)
    for (const { links_digest, stem } of this.#staged.values()) {
      const twin = this.#workspace.twinOf(stem)
      if (twin !== undefined && !this.#deleted.has(twin)) {
        const message = `${twin} differs only in case`
        const details = { other: twin, stem }
        issues.push(errorIssue('E_STEM_COLLISION', { details, location: '/stem', message, stage: 'lsi' }))
      }
      for (const { id, location, type } of this.#workspace.refs(links_digest, stem)) {
        if (carriers.has(this.#keyOf({ id, type })) || this.#carrierLeft({ id, type }) !== undefined) continue
        const facts = {
          details: { id, stem, type },
          location: `${location}/id`,
          message: 'the target does not exist after this turn',
        }
        issues.push(errorIssue('E_LSI_ORPHAN_TARGET', { ...facts, stage: 'lsi' }))
      }
    }
    return issues
  }

  /** The identities that the staged stems carry. Each has one carrier. */
  #carriers(issues: Issue[]): ReadonlySet<string> {
    const carriers = new Map<string, string>()
    for (const triplet of this.#staged.values()) {
      const identity = carriedBy(triplet)
      if (identity === undefined) continue
      const key = this.#keyOf(identity)
      const other = carriers.get(key) ?? this.#carrierLeft(identity)
      if (other === undefined) {
        carriers.set(key, triplet.stem)
        continue
      }
      const details = { id: identity.id, other, stem: triplet.stem, type: identity.type }
      const message = `${other} carries this identity`
      issues.push(errorIssue('E_LSI_DUPLICATE_IDENTITY', { details, location: '/body/id', message, stage: 'lsi' }))
    }
    return new Set(carriers.keys())
  }

  /** The stem in the workspace that carries an identity, if the turn neither stages nor deletes it. */
  #carrierLeft(identity: Identity): string | undefined {
    const carrier = this.#workspace.identity(identity)?.carrier ?? undefined
    if (carrier === undefined || this.#staged.has(carrier) || this.#deleted.has(carrier)) return undefined
    return carrier
  }

  #keyOf(identity: Identity): string {
    return identityKey(this.#workspace.name, identity)
  }
}

/** Whether a change keeps the promoted links and the promoted manifest, or there is nothing in them to lose. */
function keepsParts(change: StagedTriplet | StagedTombstone, current: Triplet): boolean {
  const kept = 'links_digest' in change ? change : undefined
  return (['links_digest', 'manifest_digest'] as const).every((part) => {
    return current[part] === emptyObjectDigest || current[part] === kept?.[part]
  })
}
