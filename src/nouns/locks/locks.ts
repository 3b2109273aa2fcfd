import type { z } from 'zod'
import * as input from '../../domain/lock/commands.ts'
import type { LockEventData } from '../../domain/lock/events.ts'
import { kindOf, lockNameSchema } from '../../domain/lock/names.ts'
import type { Grant } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import { given } from '../../kernel/given.ts'
import type { Actor } from '../../kernel/ids.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import { type Core, lockRefOf, submit } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import { parse } from '../../writer/parse.ts'
import type { Outcome } from '../../writer/submission.ts'
import { Acquiring } from './acquiring.ts'
import { Deliverables } from './deliverables.ts'
import { historyOf } from './grants.ts'
import type { Lease } from './lease.ts'
import { type LockListing, type LockStatus, listLocks, statusOf } from './lock-status.ts'
import { OrphanCare, type Recovered } from './orphan-care.ts'
import { Projects } from './projects.ts'

export interface Released {
  files?: 'current' | 'pending'
  held_ms: number
  late: boolean
  name: string
  outcome: 'failure' | 'success'
  replayed: boolean
  released: string
  token: number
}

/**
 * `ledger.locks`: exclusive locks on resources, deliverables and projects. Every call takes an optional `actor` and
 * rejects with a LockstepError.
 */
export class Locks {
  readonly #core: Core
  readonly #deliverables: Deliverables
  readonly #projects: Projects
  readonly #care: OrphanCare
  readonly #acquiring: Acquiring

  constructor(core: Core) {
    this.#core = core
    this.#deliverables = new Deliverables(core)
    this.#projects = new Projects(core)
    this.#care = new OrphanCare(core, this.#deliverables)
    this.#acquiring = new Acquiring(core, this.#deliverables, this.#projects, {
      renew: (request) => this.renew(request),
      release: (request) => this.release(request),
    })
  }

  /**
   * Acquires a resource by `name`, a deliverable by `folder`, or a project by `target_name` and `run_id`. Repeating a
   * `lock_id` returns the same grant. Errors: LOCK_CONTENTION, TIMED_OUT, ABORTED, PID_NOT_FOUND, LOCK_PLACEMENT,
   * LINK_UNSUPPORTED, WRITE_SCOPE_DENIED, IDEMPOTENCY_MISMATCH. Cost: one append.
   */
  async acquire(request: input.AcquireResource | input.AcquireDeliverable | input.AcquireProject): Promise<Lease> {
    const requestedAt = performance.now()
    if (has(request, 'folder')) return this.#acquiring.deliverable(request, requestedAt)
    if (has(request, 'target_name')) return this.#acquiring.project(request, requestedAt)
    return this.#acquiring.resource(request, requestedAt)
  }

  /** Acquires several resources in sorted order and one append: either all or none. Errors: see `acquire`. */
  async acquireAll(request: z.input<typeof input.acquireAllSchema>): Promise<Lease[]> {
    return this.#acquiring.all(request, performance.now())
  }

  /** Renews a current lease. Errors: LOCK_NOT_HELD, STALE_TOKEN, LEASE_EXPIRED, LEASE_LOST. Cost: one append. */
  async renew(
    request: z.input<typeof input.renewSchema>,
  ): Promise<{ name: string; token: number; acquired: string; expires_at: string; renewals: number }> {
    const { actor = this.#core.actor, lock_id } = parse(input.renewSchema, request, 'renewal')
    const lock_ref = lockRefOf(lock_id)
    const held = this.#held(lock_ref, actor)
    const { grant, name } = held instanceof Promise ? await held : held
    const { entries } = grant
      ? await this.#deliverables.renew(grant, actor)
      : await submit(this.#core, { type: 'lock.renew', name, lock_ref }, { actor })
    const data = entries[0]?.data as LockEventData<'lock.renewed'>
    const { acquired, expires_at, renewals, token } = data
    return { name: data.name, token, acquired, expires_at, renewals }
  }

  /**
   * Releases a lock by its `lock_id`. The release authority releases a project by its `run_id`. Repeating a release
   * returns the first answer. Errors: LOCK_NOT_HELD, LEASE_LOST, RELEASE_DENIED, RELEASE_CONDITION_UNMET.
   */
  async release(
    request: z.input<typeof input.releaseSchema> | z.input<typeof input.releaseProjectSchema>,
  ): Promise<Released> {
    if (has(request, 'run_id')) {
      const project = parse(input.releaseProjectSchema, request, 'release')
      const outcome = await this.#projects.release(project, project.actor ?? this.#core.actor)
      return releasedFacts(outcome, await this.#core.filesDrained())
    }
    const { actor = this.#core.actor, lock_id, outcome } = parse(input.releaseSchema, request, 'release')
    const lock_ref = lockRefOf(lock_id)
    const held = this.#held(lock_ref, actor)
    const { grant, name } = held instanceof Promise ? await held : held
    if (grant) {
      const released = await this.#deliverables.release(grant, outcome, actor)
      return releasedFacts(released, released.files)
    }
    return releasedFacts(await submit(this.#core, { type: 'lock.release', name, lock_ref, outcome }, { actor }))
  }

  /** The name of a lock_ref's lock, and its current grant if it is a deliverable: that has a file as well. */
  #held(lockRef: string, actor: Actor): Maybe<{ grant?: Grant; name: string | null }> {
    return after(this.#acquiring.grants.nameOf(lockRef, actor), (name) => {
      if (name === null || kindOf(name) !== 'deliverable') return { name }
      return after(lockGrantOf(this.#core, name), (grant) => (grant?.lock_ref === lockRef ? { grant, name } : { name }))
    })
  }

  /** Ends an orphan. With `dry_run` it only shows evidence and verdict. Errors: LOCK_NOT_ORPHAN. */
  recover(request: z.input<typeof input.recoverSchema>): Promise<Recovered> {
    const parsed = parse(input.recoverSchema, request, 'recovery')
    return this.#care.recover(parsed, parsed.actor ?? this.#core.actor)
  }

  /** Ends a valid grant. Only the release authority or an operator may. Errors: RELEASE_DENIED, LOCK_NOT_HELD. */
  break(request: z.input<typeof input.breakSchema>): Promise<Recovered> {
    const parsed = parse(input.breakSchema, request, 'break')
    return this.#care.break(parsed, parsed.actor ?? this.#core.actor)
  }

  /** Ends the life of a deliverable's lock before its folder is moved or deleted. Errors: LOCK_IS_HELD. */
  retire(request: z.input<typeof input.retireSchema>): Promise<{ name: string; folder: string; recovered: boolean }> {
    const parsed = parse(input.retireSchema, request, 'retirement')
    return this.#care.retire(parsed, parsed.actor ?? this.#core.actor)
  }

  /** The present state of a lock. Errors: NOT_FOUND if it was never held. */
  async status(name: string): Promise<LockStatus> {
    return statusOf(this.#core, parse(lockNameSchema, name, 'name'))
  }

  /** Lists held locks and marks orphans. `under` names a folder below the root. */
  list(options: { orphans?: boolean; under?: string } = {}): Promise<LockListing[]> {
    return listLocks(this.#core, options, (grant) => this.#projects.orphanFinding(grant))
  }

  /** A lock's entries, newest first: who held it, when, and why each grant ended. Errors: NOT_FOUND. */
  async history(name: string, options: { limit?: number } = {}): Promise<Entry[]> {
    const full = parse(lockNameSchema, name, 'name')
    const { limit } = parse(input.historySchema, options, 'history')
    const entries = await historyOf(this.#core, full, limit)
    if (entries.length === 0)
      throw new LockstepError('NOT_FOUND', `${full} was never locked`, { details: { name: full } })
    return entries
  }

  /** Checks that a run holds its target's lock; every role checks this before it acts. Errors: LOCK_CHECK_FAILED. */
  async check(
    request: z.input<typeof input.checkSchema>,
  ): Promise<{ run_id: string; target_name: string; token: number }> {
    return this.#projects.check(parse(input.checkSchema, request, 'check'))
  }

  /** Imports an existing RUN_LOCK.json. With `set_aside`, moves a blocking file out of the way. */
  async importFile(
    request: z.input<typeof input.importSchema>,
  ): Promise<{ seq: number; type: string; replayed: boolean }> {
    const parsed = parse(input.importSchema, request, 'import')
    const { entries, replayed } = await this.#projects.importFile(parsed, parsed.actor ?? this.#core.actor)
    await this.#core.filesDrained()
    const last = entries.at(-1)
    return { seq: last?.seq ?? 0, type: last?.type ?? '', replayed }
  }

  /**
   * Removes the file of the grant that an entry ended. The reactor calls this. Errors: FILE_FAILED if it cannot be
   * removed now.
   */
  async removeEndedFile(entry: Entry): Promise<void> {
    const token = entry.data.token ?? entry.data.previous_token
    const granted = typeof token === 'number' ? await this.#core.views.entry(token) : undefined
    if (granted?.type !== 'lock.acquired') return
    if ((await this.#deliverables.removeFileOf(granted.data as LockEventData<'lock.acquired'>)) === 'current') return
    throw new LockstepError('FILE_FAILED', `the lock file of ${granted.data.name} cannot be removed now`)
  }

  /** LOCKED files below the root that are unknown to the ledger. */
  unknownFiles(): Promise<string[]> {
    return this.#projects.unknownFiles()
  }
}

/** Chooses the kind of a request by one member; its schema checks the rest. */
function has<Request, Member extends string>(
  request: Request,
  member: Member,
): request is Extract<Request, Record<Member, unknown>> {
  return typeof request === 'object' && request !== null && member in request
}

function releasedFacts({ entries, replayed }: Outcome, files?: 'current' | 'pending'): Released {
  const entry = entries.find(({ type }) => type === 'lock.released')
  const data = entry?.data as LockEventData<'lock.released'>
  return {
    name: data.name,
    token: data.token,
    outcome: data.outcome,
    held_ms: data.held_ms,
    late: data.late === true,
    released: entry === undefined ? '' : wallTimeOf(entry),
    replayed,
    ...given({ files }),
  }
}
