import type { Found } from '../../domain/erasure/commands.ts'
import { holdsIn, isHeld, type LegalHold, retentionStream } from '../../domain/erasure/state.ts'
import type { Entry } from '../../kernel/entry.ts'
import { classOf, isErasable, type ObjectKind } from '../../kernel/retention.ts'
import { namedObjects } from '../../views/named-objects.ts'
import type { Core } from '../../writer/core.ts'
import { Pace } from './pace.ts'

/** What the entries say about an object. */
interface Seen {
  held: string | null
  kinds: Set<ObjectKind>
  /** The time of the last entry that names it. */
  time: string
}

const ends = new Set(['run.cancelled', 'run.completed', 'run.denied', 'run.failed', 'turn.promoted'])

/**
 * Finds out what a decision about erasing some objects needs to know: what the ledger uses them for, and which legal
 * hold covers them. What is found stays true while no command is under way with these objects (`StoredObjects.alone`),
 * apart from holds and the configuration, which the decision compares. Cost: one pass over the entries, and one over
 * the sovereign state. Memory: the objects that are asked for.
 */
export class Survey {
  readonly #core: Core
  readonly #pace: Pace
  readonly #seen = new Map<string, Seen | undefined>()
  /** The asked objects in the proposal that a run may still promote, by run. */
  readonly #open = new Map<string, string[]>()
  #holds: readonly LegalHold[] = []
  #retentionSeq: number | null = null
  #at = 0

  constructor(core: Core, digests: Iterable<string>) {
    this.#core = core
    this.#pace = new Pace(core.log)
    for (const digest of digests) this.#seen.set(digest, undefined)
  }

  /** Reads the entries that were appended since the last call. The first call reads the holds in force. */
  async read(): Promise<void> {
    const { log, views } = this.#core
    if (this.#at === 0) {
      const row = await views.row(retentionStream)
      this.#holds = holdsIn(row)
      this.#retentionSeq = row?.last_seq ?? null
    }
    const { size } = log.head()
    for await (const { entry, objects } of namedObjects(log, this.#at, size)) {
      await this.#pace.rest()
      this.#followTurns(entry)
      const asked = objects.filter(({ digest }) => this.#seen.has(digest))
      for (const { digest, kind } of asked) this.#see(entry, digest, kind)
      if (entry.type === 'turn.staged' && asked.length > 0) {
        this.#open.set(
          String(entry.data.run_id),
          asked.map(({ digest }) => digest),
        )
      }
    }
    this.#at = size
  }

  /** What the entries say about an object; undefined if no entry names it. */
  of(digest: string): Seen | undefined {
    return this.#seen.get(digest)
  }

  /** The objects that the ledger still needs, and what for. Called after `read`. */
  async needed(): Promise<Map<string, NonNullable<Found['needed']>['for']>> {
    const needed: Awaited<ReturnType<Survey['needed']>> = new Map()
    for (const digests of this.#open.values()) for (const digest of digests) needed.set(digest, 'open')
    // A proposal that was promoted since is among the current state, which is read after it.
    for await (const page of this.#core.log.scan('state', '')) {
      await this.#pace.rest()
      for (const [, row] of page) {
        const { body_digest, manifest_digest } = Object(row) as Record<string, unknown>
        for (const digest of [body_digest, manifest_digest]) {
          if (typeof digest === 'string' && this.#seen.has(digest)) needed.set(digest, 'current')
        }
      }
    }
    for (const [digest, seen] of this.#seen) {
      if (seen !== undefined && ![...seen.kinds].every(isErasable)) needed.set(digest, 'structure')
    }
    return needed
  }

  /** What was found about some of the objects, as a decision takes it. */
  found(digests: readonly string[], needed: Awaited<ReturnType<Survey['needed']>>): Found {
    const use = digests.find((digest) => needed.has(digest))
    const held = digests.map((digest) => this.of(digest)?.held ?? null).find((hold) => hold !== null) ?? null
    return {
      held,
      needed: use === undefined ? null : { digest: use, for: needed.get(use) ?? 'structure' },
      retention_seq: this.#retentionSeq,
    }
  }

  #followTurns({ data, run_id, type }: Entry): void {
    // A proposal that failed its validation can be validated again.
    const isOver = ends.has(type) || (type === 'turn.rejected' && data.by !== 'validation')
    if (isOver) this.#open.delete(String(run_id ?? data.run_id))
  }

  #see(entry: Entry, digest: string, kind: ObjectKind): void {
    const before = this.#seen.get(digest)
    const name = classOf(this.#core.config.retention, kind)
    const hold = this.#holds.find(({ covers }) => isHeld(covers, entry, name))
    this.#seen.set(digest, {
      held: before?.held ?? hold?.hold_id ?? null,
      kinds: (before?.kinds ?? new Set<ObjectKind>()).add(kind),
      time: entry.time,
    })
  }
}
