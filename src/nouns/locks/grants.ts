import type { z } from 'zod'
import type { Acquire, releaseSchema, renewSchema } from '../../domain/lock/commands.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { orphanReason } from '../../domain/lock/state.ts'
import { invariant, LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import type { Key } from '../../log/log.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import { Recent } from '../../views/recent.ts'
import type { Core } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import type { Outcome } from '../../writer/submission.ts'
import { grantFacts, type Lease, leaseOf } from './lease.ts'

/** The calls behind a lease's `renew` and `release`. */
export interface LeaseCalls {
  renew: (request: z.input<typeof renewSchema>) => Promise<{ acquired: string; expires_at: string }>
  release: (request: z.input<typeof releaseSchema>) => Promise<unknown>
}

/** The actor of a request, its time by `performance.now()`, and whether the answer is a replay. */
interface AcquireFacts {
  requestedAt: number
  actor: Actor
  replayed: boolean
}

/** Turns the entry of a grant into a lease, for a first answer and for replays. */
export class Grants {
  readonly #core: Core
  readonly #calls: LeaseCalls
  /** The names of recent grants, so that a release need not read the entry. The name of a grant never changes. */
  readonly #recent = new Recent<string>(limits.recentGrantsMax)

  constructor(core: Core, calls: LeaseCalls) {
    this.#core = core
    this.#calls = calls
  }

  lease({ entries, replayed }: Outcome, lockId: string, requestedAt: number, actor: Actor): Maybe<Lease> {
    const entry = entries.find(({ type }) => type === 'lock.acquired')
    invariant(entry !== undefined, 'an acquire is answered with its grant')
    return this.leaseOf(entry, lockId, { requestedAt, actor, replayed })
  }

  leaseOf(entry: Entry, lock_id: string, asked: AcquireFacts): Maybe<Lease> {
    const current = !asked.replayed || this.#isCurrent(entry)
    return after(current, (isCurrent) => this.#leaseOf(entry, lock_id, { ...asked, current: isCurrent }))
  }

  #leaseOf(
    entry: Entry,
    lock_id: string,
    { actor, current, replayed, requestedAt }: AcquireFacts & { current: boolean },
  ): Lease {
    if (current) {
      this.#recent.trim()
      this.#recent.set(recentKey(String(entry.data.lock_ref), actor), String(entry.data.name))
    }
    const facts = grantFacts(entry, lock_id, { replayed, current })
    const clock = { requestedAt, bootMillis: () => this.#core.now().lease_clock.boot_ms }
    if (entry.data.kind === 'project') return leaseOf(facts, clock, projectCalls(entry, this.#core))
    return leaseOf(facts, clock, {
      renew: () => this.#calls.renew({ actor, lock_id }),
      release: (outcome) => this.#calls.release({ actor, lock_id, outcome }),
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
    return history.some(({ type, data: end }) => type === 'lock.lost' && end.token === entry.seq) ? undefined : entry
  }

  /** The entries whose receipts may be of this lock_ref, oldest first. */
  async #answeredUnder(lockRef: string, actor: Actor): Promise<readonly (Entry | undefined)[]> {
    const { log, receipts } = this.#core
    await receipts.loaded()
    const seqs = receipts.candidates(actor.actor_id, lockRef)
    return (await log.load(seqs.map((key): Key => ({ view: 'entry', key })))) as (Entry | undefined)[]
  }

  async #isCurrent(entry: Entry): Promise<boolean> {
    const grant = await lockGrantOf(this.#core, String(entry.data.name))
    return grant?.token === entry.seq && orphanReason(grant, undefined, this.#core.now()) === undefined
  }
}

/** A lock_ref always has 16 hex digits, so the key is unambiguous without a separator. */
function recentKey(lockRef: string, { actor_id }: Actor): string {
  return lockRef + actor_id
}

/** The newest `limit` entries of a lock, newest first. Cost: one read per entry. */
export async function historyOf(
  { views }: Core,
  name: string,
  limit: number = limits.historyPageMax,
): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of walked(views, await chainOfStream(views, streamOf(name)))) {
    entries.push(entry)
    if (entries.length >= limit) break
  }
  return entries
}

/** The lease calls of a project lock: both refuse, because it has no lease and the holder cannot release it. */
function projectCalls({ data }: Entry, { config }: Core): Pick<Lease, 'renew' | 'release'> {
  const refuse = (code: 'INVALID_INPUT' | 'RELEASE_DENIED', why: string) =>
    Promise.reject(
      new LockstepError(code, `${data.name} ${why}`, { details: { name: data.name, run_id: data.run_id } }),
    )
  return {
    renew: () => refuse('INVALID_INPUT', 'has no lease to renew'),
    release: () => refuse('RELEASE_DENIED', `is released by ${config.release_authority}, by its run_id`),
  }
}
