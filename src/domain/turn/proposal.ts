import { canonicalText, isWellFormed, type Json } from '../../kernel/canonical.ts'
import type { Config } from '../../kernel/config.ts'
import { given } from '../../kernel/given.ts'
import { sha256Schema } from '../../kernel/vocabulary.ts'
import type { ProposedTriplet } from './commands.ts'
import { type ErrorIssueCode, errorIssue, type Issue, isError, recordable, sortedIssues } from './issue.ts'
import { type JsonObject, jsonIssues, objectFromValue } from './json-object.ts'
import { identityOf, refsOf, wrongWithIdentity } from './links.ts'
import { byBytes, foldOf, wrongWithStem } from './stem.ts'
import {
  emptyObjectDigest,
  type StagedSet,
  type StagedTombstone,
  type StagedTriplet,
  tombstoneSchema,
} from './triplet.ts'

/** The SHA-256 of a text in hex, and its UTF-8 bytes. */
export type Measure = (text: string) => { bytes: number; digest: string }

/** Everything to store for a turn, or all of its issues. */
export type ReadProposal =
  | { issues: Issue[] }
  | {
      bytes: number
      manifest: { digest: string; text: string }
      objects: ReadonlyMap<string, string>
      set: StagedSet
      links: ReadonlyMap<string, JsonObject>
    }

/**
 * Reads the proposal of a caller, one triplet at a time, so that other work can run in between. Checks names, shapes,
 * numbers and limits, and collects all issues. The workspace is checked later, at validation.
 */
export class Proposal {
  readonly #turnId: string
  readonly #bounds: Config['turn_limits']
  readonly #measure: Measure
  readonly #issues: Issue[]
  readonly #objects = new Map<string, string>()
  /** Links that are not empty. They are read again at validation and promotion. */
  readonly #links = new Map<string, JsonObject>()
  readonly #triplets: StagedTriplet[] = []
  readonly #stems = new Map<string, string>()
  #bytes = 0
  /** Each ref is a row that is read at validation and written at promotion, however small it is. */
  #refs = 0

  constructor(
    turnId: string,
    { bounds, issues = [], measure }: { bounds: Config['turn_limits']; issues?: readonly Issue[]; measure: Measure },
  ) {
    this.#turnId = turnId
    this.#bounds = bounds
    this.#issues = issues.map(recordable)
    this.#measure = measure
  }

  /** Whether one turn may have this many stems. If not, no stem is checked. */
  takes(stems: number): boolean {
    if (stems <= this.#bounds.stems) return true
    this.#wrong('LIMIT_EXCEEDED', '', `a turn can have at most ${this.#bounds.stems} stems, not ${stems}`, { stems })
    return false
  }

  /** Adds one triplet, at its position in the request. */
  add({ base_digest, body, links = {}, manifest = {}, stem }: ProposedTriplet, index: number): void {
    const where = `/triplets/${index}`
    if (!this.#isStem(stem, `${where}/stem`) || !this.#isNew(stem, `${where}/stem`)) return
    if (body === undefined) {
      this.#wrong('E_TRIPLET_INCOMPLETE', '/body', 'the body is missing', { stem })
      return
    }
    const parts = [
      this.#part('body', body, stem),
      this.#part('links', links, stem),
      this.#part('manifest', manifest, stem),
    ]
    const [bodyPart, linksPart, manifestPart] = parts
    if (bodyPart === undefined || linksPart === undefined || manifestPart === undefined) return
    if (linksPart.digest !== emptyObjectDigest) this.#links.set(linksPart.digest, linksPart.object)
    const identity = identityOf(bodyPart.object.value)
    const { issues, refs } = refsOf(linksPart.object.value, stem)
    this.#refs += refs.length
    this.#issues.push(...wrongWithIdentity(identity, stem))
    // Added one at a time: an object of 1 MiB can have more refs than a call can take arguments.
    for (const issue of issues) this.#issues.push(issue)
    this.#triplets.push({
      ...given({ base_digest }),
      body_digest: bodyPart.digest,
      dto_type: identity?.type ?? null,
      id: identity?.id ?? null,
      links_digest: linksPart.digest,
      manifest_digest: manifestPart.digest,
      stem,
    })
  }

  /** The result, once all triplets were added. */
  read(tombstones: readonly unknown[], deleteStem: readonly unknown[]): ReadProposal {
    const read = this.#tombstonesOf(tombstones)
    const deletes = new Set<string>()
    deleteStem.forEach((stem, index) => {
      if (this.#isStem(stem, `/delete_stem/${index}`)) deletes.add(stem)
    })
    const { refs, turn_bytes } = this.#bounds
    if (this.#refs > refs)
      this.#wrong('LIMIT_EXCEEDED', '', `a turn can have at most ${refs} refs, not ${this.#refs}`, {})
    if (this.#bytes > turn_bytes) {
      this.#wrong('LIMIT_EXCEEDED', '', `a turn can have at most ${turn_bytes} bytes, not ${this.#bytes}`, {
        bytes_max: turn_bytes,
      })
    }
    if (this.#issues.some(isError)) return { issues: sortedIssues(this.#issues) }
    const byStem = (one: { stem: string }, other: { stem: string }) => byBytes(one.stem, other.stem)
    const set: StagedSet = {
      delete_stem: [...deletes].sort(byBytes),
      tombstones: read.sort(byStem),
      triplets: this.#triplets.sort(byStem),
      version: 'v1',
    }
    const text = canonicalText(set as unknown as Json)
    return {
      bytes: this.#bytes,
      manifest: { digest: this.#measure(text).digest, text },
      objects: this.#objects,
      set,
      links: this.#links,
    }
  }

  #tombstonesOf(tombstones: readonly unknown[]): StagedTombstone[] {
    const read: StagedTombstone[] = []
    const stems = new Set<string>()
    tombstones.forEach((value, index) => {
      const where = `/tombstones/${index}`
      const { base_digest, ...members } = (typeof value === 'object' && value !== null ? value : {}) as Record<
        string,
        unknown
      >
      const parsed = tombstoneSchema.safeParse(members)
      const base = sha256Schema.nullable().optional().safeParse(base_digest)
      if (!parsed.success || !base.success) {
        const [first] = [...(parsed.error?.issues ?? []), ...(base.error?.issues ?? [])]
        const at = first?.path.join('/') ?? ''
        this.#wrong('E_TOMBSTONE_INVALID', at === '' ? where : `${where}/${at}`, `the tombstone: ${first?.message}`, {})
        return
      }
      const { dto_type, id, stem } = parsed.data
      if (!this.#isStem(stem, `${where}/stem`)) return
      const wrong = this.#wrongTombstone(
        parsed.data.deleted_by_turn_id,
        stems.has(stem),
        isWellFormed(dto_type) && isWellFormed(id),
      )
      if (wrong !== undefined) {
        this.#wrong('E_TOMBSTONE_INVALID', where, wrong, { stem })
        return
      }
      this.#issues.push(...wrongWithIdentity({ id, type: dto_type }, stem))
      stems.add(stem)
      read.push(base.data === undefined ? parsed.data : { ...parsed.data, base_digest: base.data })
    })
    return read
  }

  #wrongTombstone(turnId: string, isRepeated: boolean, isText: boolean): string | undefined {
    if (turnId !== this.#turnId) return `deleted_by_turn_id is not ${this.#turnId}`
    if (isRepeated) return 'the stem already has a tombstone'
    return isText ? undefined : 'dto_type or id has a lone surrogate'
  }

  /** Measures and keeps one part of a triplet; undefined if it has a problem. */
  #part(
    name: 'body' | 'links' | 'manifest',
    value: unknown,
    stem: string,
  ): { digest: string; object: JsonObject } | undefined {
    const read = objectFromValue(value)
    if ('problems' in read) {
      for (const issue of jsonIssues(read.problems, { location: `/${name}` })) {
        this.#issues.push({ ...issue, details: { ...issue.details, stem } })
      }
      return undefined
    }
    const { bytes, digest } = this.#measure(read.object.text)
    this.#bytes += bytes
    const { object_bytes } = this.#bounds
    if (bytes > object_bytes) {
      this.#wrong('LIMIT_EXCEEDED', `/${name}`, `an object can have at most ${object_bytes} bytes, not ${bytes}`, {
        stem,
      })
      return undefined
    }
    this.#objects.set(digest, read.object.text)
    return { digest, object: read.object }
  }

  #isStem(stem: unknown, location: string): stem is string {
    const wrong = wrongWithStem(stem)
    if (wrong === undefined) return true
    this.#wrong('E_STEM_INVALID', location, `the stem ${wrong}`, {})
    return false
  }

  /** Checks that no other stem of the turn is the same when case is ignored. */
  #isNew(stem: string, location: string): boolean {
    const twin = this.#stems.get(foldOf(stem))
    this.#stems.set(foldOf(stem), stem)
    if (twin === undefined) return true
    this.#wrong(
      'E_STEM_COLLISION',
      location,
      twin === stem ? 'the stem occurs twice' : `${twin} differs only in case`,
      {
        other: twin,
        stem,
      },
    )
    return false
  }

  #wrong(code: ErrorIssueCode, location: string, message: string, details: Issue['details']): void {
    this.#issues.push(errorIssue(code, { details, location, message, stage: 'stage' }))
  }
}
