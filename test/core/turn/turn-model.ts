import { hash } from 'node:crypto'
import { byBytes, digestOf, keyOf, type Pair, type Proposed, pairOf, refsOf } from './proposed.ts'

interface Held {
  body: Record<string, unknown>
  links: Record<string, Pair | Pair[]>
  run_id: string
  turn: string
}
interface Chain {
  last: number
  open: { status: 'staged' | 'validated' | 'failed' | 'rejected' | 'refused'; proposed?: Proposed } | undefined
}

/** The digest of a whole triplet. The manifests of the model are empty. */
export function wholeOf({ body, links }: Pick<Held, 'body' | 'links'>): string {
  const [body_digest, links_digest, manifest_digest] = [digestOf(body), digestOf(links), digestOf({})]
  return hash('sha256', JSON.stringify({ body_digest, links_digest, manifest_digest }))
}

/**
 * What turns come to, kept as plain maps: the stems of one workspace and what they hold, and where each run's chain is.
 * Identities and refs are looked for in all of it whenever they are asked for; nothing is kept of them.
 */
export class TurnModel {
  readonly stems = new Map<string, Held>()
  readonly chains = new Map<string, Chain>()
  readonly #targets = new Set<string>()
  /** Whether a stem that another run wrote is changed only with its base. */
  readonly #isOptimistic: boolean

  constructor({ isOptimistic }: { isOptimistic: boolean }) {
    this.#isOptimistic = isOptimistic
  }

  stage(run: string, number: number, proposed: Proposed): string {
    const chain = this.#chain(run)
    const wrong = orderOf(chain, number)
    if (wrong !== undefined) return wrong
    const stems = proposed.triplets.map(({ stem }) => stem.toLowerCase())
    const isTwice = new Set(stems).size < stems.length
    chain.open = isTwice ? { ...chain.open, status: 'refused' } : { proposed, status: 'staged' }
    return isTwice ? 'E_STEM_COLLISION' : 'PASS'
  }

  validate(run: string, number: number): string {
    const proposed = this.#proposed(run, number)
    if (typeof proposed === 'string') return proposed
    const [failed] = this.#wrongs(run, proposed).flat()
    this.chains.set(run, {
      last: number - 1,
      open: { proposed, status: failed === undefined ? 'validated' : 'failed' },
    })
    return failed === undefined ? 'PASS' : 'FAIL'
  }

  reject(run: string, number: number): string {
    const proposed = this.#proposed(run, number)
    if (typeof proposed === 'string') return proposed
    this.chains.set(run, { last: number - 1, open: { proposed, status: 'rejected' } })
    return 'PASS'
  }

  /** What there is to judge, or why there is nothing. */
  #proposed(run: string, number: number): Proposed | string {
    const chain = this.#chain(run)
    const wrong = orderOf(chain, number)
    if (wrong !== undefined) return wrong
    if (chain.open?.status === 'refused') return 'E_PROMOTION_FAILED'
    const isThere = chain.open?.proposed !== undefined && chain.open.status !== 'rejected'
    return isThere ? (chain.open?.proposed as Proposed) : 'E_PROMOTION_STAGE_MISSING'
  }

  promote(run: string, number: number): string {
    const chain = this.#chain(run)
    const { open } = chain
    const wrong = orderOf(chain, number)
    if (wrong !== undefined) return wrong
    if (open?.status === 'refused') return 'E_PROMOTION_FAILED'
    const { delete_stem = [], tombstones = [], triplets = [] } = open?.proposed ?? {}
    const isEmpty = delete_stem.length + tombstones.length + triplets.length === 0
    const isReady = open === undefined || open.status === 'validated' || (open.status === 'staged' && isEmpty)
    if (!isReady) return 'E_PROMOTION_NOT_VALIDATED'
    for (const group of this.#wrongs(run, { delete_stem, tombstones, triplets }))
      if (group[0] !== undefined) return group[0]
    for (const { stem } of tombstones) this.stems.delete(stem)
    const turn = `turn-${String(number).padStart(4, '0')}`
    for (const { body, links, stem } of triplets) this.stems.set(stem, { body, links, run_id: run, turn })
    for (const { links } of triplets) for (const { pair } of refsOf(links)) this.#targets.add(keyOf(pair))
    this.chains.set(run, { last: number, open: undefined })
    return 'PASS'
  }

  /** The codes of each group of checks, the one that decides first in each. */
  #wrongs(run: string, { delete_stem, tombstones, triplets }: Proposed): string[][] {
    const deletes = new Set(tombstones.map(({ stem }) => stem))
    const touched = new Set([...deletes, ...triplets.map(({ stem }) => stem)])
    const left = [...this.stems].filter(([stem]) => !touched.has(stem))
    const after = [...left.map(([stem, { body }]) => ({ stem, body })), ...triplets]
    const groups: string[][] = [[], [], []]
    for (const { pair, stem } of tombstones) {
      const promoted = pairOf(this.stems.get(stem)?.body)
      if (promoted !== undefined && keyOf(promoted) !== keyOf(pair)) groups[0]?.unshift('E_TOMBSTONE_INVALID')
    }
    for (const stem of delete_stem) if (!deletes.has(stem)) groups[0]?.push('E_DELETE_MISSING_TOMBSTONE')
    for (const change of [...triplets, ...tombstones]) {
      const { base, stem } = change
      const held = this.stems.get(stem)
      const isWhole = held !== undefined && base === wholeOf(held)
      const isOther = base !== undefined && !isWhole && base !== (held ? digestOf(held.body) : null)
      const isKept =
        held !== undefined &&
        [digestOf({}), digestOf('links' in change ? change.links : {})].includes(digestOf(held.links))
      const isSeen = isWhole || (base !== undefined && isKept)
      const isUnseen = this.#isOptimistic && held !== undefined && held.run_id !== run && !isSeen
      if (isOther || isUnseen) groups[1]?.push('E_PROMOTION_CONFLICT')
    }
    // A stem that stays is in the way, whether it is staged anew or not; one that is only deleted is not.
    const names = [...this.stems.keys()].filter((stem) => !deletes.has(stem))
    const isTwin = ({ stem }: { stem: string }) =>
      names.some((other) => other !== stem && other.toLowerCase() === stem.toLowerCase())
    if (triplets.some(isTwin)) groups[2]?.push('E_STEM_COLLISION')
    const carried = after
      .map(({ body }) => pairOf(body))
      .filter((pair) => pair !== undefined)
      .map(keyOf)
    if (new Set(carried).size < carried.length) groups[2]?.push('E_LSI_DUPLICATE_IDENTITY')
    const isOrphan = ({ links }: { links: Held['links'] }) =>
      refsOf(links).some(({ pair }) => !carried.includes(keyOf(pair)))
    if (triplets.some(isOrphan)) groups[2]?.push('E_LSI_ORPHAN_TARGET')
    return groups
  }

  /** refs/by_id, made anew from what the stems hold. */
  refs(): { id: string; sources: object[]; type: string }[] {
    return [...this.#targets].sort(byBytes).map((key) => {
      const [type = '', id = ''] = JSON.parse(key) as string[]
      const sources = [...this.stems].flatMap(([stem, { links }]) =>
        refsOf(links)
          .filter(({ pair }) => keyOf(pair) === key)
          .map(({ location }) => ({ artifact_digest: digestOf(links), location, relationship: null, stem })),
      )
      sources.sort((one, other) => byBytes(one.stem, other.stem) || byBytes(one.location, other.location))
      return { id, sources, type }
    })
  }

  stateDigest(): string {
    const triplets = [...this.stems]
      .sort(([one], [other]) => byBytes(one, other))
      .map(([stem, { body, links, run_id, turn }]) => {
        const { type: dto_type = null, id = null } = pairOf(body) ?? {}
        const [body_digest, links_digest, manifest_digest] = [digestOf(body), digestOf(links), digestOf({})]
        return { body_digest, dto_type, id, links_digest, manifest_digest, run_id, stem, updated_at_turn: turn }
      })
    const refs = this.refs().filter(({ sources }) => sources.length > 0)
    return hash('sha256', [...triplets, ...refs].map((record) => `${JSON.stringify(record)}\n`).join(''))
  }

  #chain(run: string): Chain {
    const chain = this.chains.get(run) ?? { last: 0, open: undefined }
    this.chains.set(run, chain)
    return chain
  }
}

function orderOf({ last }: Chain, number: number): string | undefined {
  if (number <= last) return 'E_PROMOTION_ALREADY_APPLIED'
  return number === last + 1 ? undefined : 'E_PROMOTION_OUT_OF_ORDER'
}
