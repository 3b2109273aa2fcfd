import type { Grant as GrantAnswer } from '../../api/shapes/locks.ts'
import type { Acquire } from '../../domain/lock/commands.ts'
import type { LockEventData } from '../../domain/lock/events.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { orphanReason, seqOfGrant, tokenOf } from '../../domain/lock/state.ts'
import { invariant, LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import type { Key } from '../../log/log.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import { Recent } from '../../views/recent.ts'
import type { Core } from '../../writer/core.ts'
import { grantUnder } from '../../writer/lock-rows.ts'
import type { Outcome } from '../../writer/submission.ts'

/** Renders the answer to an acquire from its entry, for a first answer and for replays. */
export class Grants {
  readonly #core: Core
  /**
   * The names of the locks that this process granted lately, so that a release need not read the grant's entry. The
   * name of a grant never changes.
   */
  readonly #recent = new Recent<string>(limits.recentGrantsMax)

  constructor(core: Core) {
    this.#core = core
  }

  answer({ entries, replayed }: Outcome, lockId: string, actor: Actor): Maybe<GrantAnswer> {
    const entry = entries.find(({ type }) => type === 'lock.acquired')
    invariant(entry !== undefined, 'an acquire is answered with its grant')
    return this.answerOf(entry, lockId, { actor, replayed })
  }

  answerOf(
    entry: Entry,
    lock_id: string,
    { actor, replayed }: { actor: Actor; replayed: boolean },
  ): Maybe<GrantAnswer> {
    return after(!replayed || this.#isCurrent(entry), (current) => {
      const data = entry.data as LockEventData<'lock.acquired'>
      if (current) {
        this.#recent.set(recentKey(data.lock_ref, actor), data.name)
        this.#recent.trim()
      }
      return {
        name: data.name,
        token: tokenOf({ data, seq: entry.seq }),
        lock_id,
        lock_ref: data.lock_ref,
        holder: data.holder,
        acquired: data.acquired,
        lease_duration_s: data.lease_duration_s,
        expires_at: data.expires_at,
        ...given({ deliverable_id: data.deliverable_id, folder: data.folder, paths: data.paths, run_id: data.run_id }),
        ...given({ shared: data.shared, target_name: data.target_name, worktree: data.worktree }),
        replayed,
        current,
      }
    })
  }

  /** The lock that this actor was granted under a lock_ref, found by its receipt; null if there is no such grant. */
  nameOf(lockRef: string, actor: Actor): Maybe<string | null> {
    const recent = this.#recent.get(recentKey(lockRef, actor))
    if (recent !== undefined) return recent
    return after(this.#answeredUnder(lockRef, actor), (answered) => {
      const entry = answered.findLast((found) => found?.type === 'lock.acquired' && found.data.lock_ref === lockRef)
      return entry === undefined ? null : String(entry.data.name)
    })
  }

  /**
   * The earlier grant of this same acquisition, if it has been released or its lease is over. A grant whose claim was
   * lost does not count, because its caller was told of contention. Errors: IDEMPOTENCY_MISMATCH.
   */
  async ended({ holder, lease_duration_s, lock_ref, name }: Acquire, actor: Actor): Promise<Entry | undefined> {
    const answered = await this.#answeredUnder(lock_ref, actor)
    const entry = answered.findLast((found) => found?.type === 'lock.acquired' && found.data.lock_ref === lock_ref)
    if (entry === undefined || entry.actor.actor_id !== actor.actor_id) return undefined
    const { data } = entry
    if (data.name !== name || data.holder !== holder || data.lease_duration_s !== lease_duration_s) {
      const message = `this lock_id was used for ${data.name} at seq ${entry.seq}, with different content`
      throw new LockstepError('IDEMPOTENCY_MISMATCH', message, { details: { name: data.name, seq: entry.seq } })
    }
    if (await this.#isCurrent(entry)) return undefined
    const history = await historyOf(this.#core, name)
    return history.some(
      ({ type, data: end }) =>
        type === 'lock.lost' && end.token === tokenOf(entry as Entry<'lock.acquired', LockEventData<'lock.acquired'>>),
    )
      ? undefined
      : entry
  }

  /** The entries whose receipts may be of this lock_ref, oldest first. */
  async #answeredUnder(lockRef: string, actor: Actor): Promise<readonly (Entry | undefined)[]> {
    const { log, receipts } = this.#core
    await receipts.loaded()
    const seqs = receipts.candidates(actor.actor_id, lockRef)
    return (await log.load(seqs.map((key): Key => ({ view: 'entry', key })))) as (Entry | undefined)[]
  }

  async #isCurrent(entry: Entry): Promise<boolean> {
    const { lock_ref, name } = entry.data as LockEventData<'lock.acquired'>
    const grant = await grantUnder(this.#core, { lock_ref, name })
    return (
      grant !== null &&
      seqOfGrant(grant) === entry.seq &&
      orphanReason(grant, undefined, this.#core.now()) === undefined
    )
  }
}

/** A lock_ref always has 16 hex digits, so the key is unambiguous without a separator. */
function recentKey(lockRef: string, { actor_id }: Actor): string {
  return lockRef + actor_id
}

/**
 * The newest `limit` entries of a lock, newest first, and only entries before the seq `cursor`. It needs no index and
 * works for any age. Cost: one read per entry, skipped entries included.
 */
export async function historyOf({ views }: Core, name: string, page?: HistoryPage): Promise<Entry[]> {
  const { cursor = Number.POSITIVE_INFINITY } = page ?? {}
  return pageOf(walked(views, await chainOfStream(views, streamOf(name))), ({ seq }) => seq < cursor, page)
}

export interface HistoryPage {
  cursor?: number | undefined
  limit?: number | undefined
}

/** The first `limit` entries of those that are wanted. */
export async function pageOf(
  entries: AsyncIterable<Entry>,
  isWanted: (entry: Entry) => boolean,
  { limit = limits.historyPageMax }: HistoryPage = {},
): Promise<Entry[]> {
  const page: Entry[] = []
  for await (const entry of entries) {
    if (!isWanted(entry)) continue
    page.push(entry)
    if (page.length >= limit) break
  }
  return page
}
