import type { z } from 'zod'
import type { LocksApi } from '../../api/locks.ts'
import type * as shapes from '../../api/shapes/locks.ts'
import type { LockEventData } from '../../domain/lock/events.ts'
import { kindOf } from '../../domain/lock/names.ts'
import type { Grant } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import { given } from '../../kernel/given.ts'
import type { Actor } from '../../kernel/ids.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import { type Core, lockRefOf, submit } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { Handlers, KnownCallOptions } from '../served.ts'
import { Acquiring } from './acquiring.ts'
import type { Deliverables } from './deliverables.ts'
import { historyOf } from './grants.ts'
import { listLocks } from './lock-list.ts'
import { statusIn, statusOf } from './lock-status.ts'
import { OrphanCare } from './orphan-care.ts'
import { PathLocks } from './paths.ts'
import { Projects } from './projects.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>
type Acquire =
  | typeof shapes.acquireResource
  | typeof shapes.acquirePaths
  | typeof shapes.acquireDeliverable
  | typeof shapes.acquireProject

/** Locks on resources, paths, deliverables and projects. */
export class Locks implements Handlers<LocksApi> {
  readonly #core: Core
  readonly #deliverables: Deliverables
  readonly #paths: PathLocks
  readonly #projects: Projects
  readonly #care: OrphanCare
  readonly #acquiring: Acquiring

  constructor(core: Core, deliverables: Deliverables) {
    this.#core = core
    this.#deliverables = deliverables
    this.#paths = new PathLocks(core)
    this.#projects = new Projects(core)
    this.#care = new OrphanCare(core, deliverables, this.#paths)
    this.#acquiring = new Acquiring(core, { deliverables, paths: this.#paths, projects: this.#projects })
  }

  acquire(input: Given<Acquire>, options: KnownCallOptions): Promise<shapes.Grant> {
    const { signal } = options
    if ('paths' in input) return this.#acquiring.paths(input, options)
    if ('name' in input) return this.#acquiring.resource(input, signal)
    if ('folder' in input) return this.#acquiring.deliverable(input, signal)
    return this.#acquiring.project(input)
  }

  async acquireAll(input: Given<typeof shapes.acquireAll>): Promise<shapes.GrantList> {
    return this.#acquiring.all(input)
  }

  async renew({ actor = this.#core.actor, lock_id }: Given<typeof shapes.renew>): Promise<shapes.Renewal> {
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

  async release(
    input: Given<typeof shapes.release> | Given<typeof shapes.releaseProject>,
  ): Promise<shapes.ReleasedLock> {
    const { actor = this.#core.actor } = input
    if ('run_id' in input) {
      const outcome = await this.#projects.release(input, actor)
      return releasedFacts(outcome, await this.#core.filesDrained())
    }
    const { lock_id, outcome } = input
    const lock_ref = lockRefOf(lock_id)
    const held = this.#held(lock_ref, actor)
    const { grant, name } = held instanceof Promise ? await held : held
    if (grant) {
      const released = await this.#deliverables.release(grant, outcome, actor)
      return releasedFacts(released, released.files)
    }
    return releasedFacts(await submit(this.#core, { type: 'lock.release', name, lock_ref, outcome }, { actor }))
  }

  async recover(input: Given<typeof shapes.recover>): Promise<shapes.EndedLock> {
    return this.#care.recover(input, input.actor ?? this.#core.actor)
  }

  /** Recovers a lock whose lease has expired, for the service. The ledger decides again whether it has. */
  async expire(name: string): Promise<void> {
    await this.#care.recoverAsLedger({ dry_run: false, name, reason: 'the lease expired' }, this.#core.actor)
  }

  async break(input: Given<typeof shapes.breakLock> | Given<typeof shapes.breakFolder>): Promise<shapes.EndedLock> {
    return this.#care.break(input, input.actor ?? this.#core.actor)
  }

  async retire(input: Given<typeof shapes.retire>): Promise<shapes.RetiredFolder> {
    return this.#care.retire(input, input.actor ?? this.#core.actor)
  }

  async status(input: Given<typeof shapes.ofLock> | Given<typeof shapes.ofFolder>): Promise<shapes.LockState> {
    if ('name' in input) {
      const { name, token } = input
      return kindOf(name) === 'path' ? this.#paths.status(name, token) : statusOf(this.#core, name)
    }
    return statusIn(this.#core, this.#deliverables.folderOfAny(input.folder))
  }

  async list(input: Given<typeof shapes.list>, { isRemote = false }: KnownCallOptions): Promise<shapes.LockList> {
    if (input.paths !== undefined) {
      const { paths } = this.#paths.named(input.paths, !isRemote)
      const locks = await this.#paths.inTheWay({ paths, shared: false })
      return { locks: input.orphans ? locks.filter(({ state }) => state === 'orphan') : locks }
    }
    const orphanOf = (grant: Grant) => this.#projects.orphanFinding(grant)
    return { locks: await listLocks(this.#core, input, { orphanOf, paths: this.#paths }) }
  }

  async history({ name, ...page }: Given<typeof shapes.history>): Promise<shapes.EntryList> {
    const isOfPath = kindOf(name) === 'path'
    const entries = await (isOfPath ? this.#paths.history(name, page) : historyOf(this.#core, name, page))
    if (entries.length > 0 || page.cursor !== undefined) return { entries }
    throw new LockstepError('NOT_FOUND', `${name} was never locked`, { details: { name } })
  }

  async check(input: Given<typeof shapes.check>): Promise<shapes.CheckedLock> {
    return this.#projects.check(input)
  }

  async importFile(input: Given<typeof shapes.importFile>): Promise<shapes.ImportedFile> {
    const { entries, replayed } = await this.#projects.importFile(input, input.actor ?? this.#core.actor)
    await this.#core.filesDrained()
    const last = entries.at(-1)
    return { seq: last?.seq ?? 0, type: last?.type ?? '', replayed }
  }

  async unknownFiles(): Promise<shapes.FileList> {
    return { files: await this.#projects.unknownFiles() }
  }

  /** The name of a lock_ref's lock, and its current grant if it is a deliverable: that has a file as well. */
  #held(lockRef: string, actor: Actor): Maybe<{ grant?: Grant; name: string | null }> {
    return after(this.#acquiring.grants.nameOf(lockRef, actor), (name) => {
      if (name === null || kindOf(name) !== 'deliverable') return { name }
      return after(lockGrantOf(this.#core, name), (grant) => (grant?.lock_ref === lockRef ? { grant, name } : { name }))
    })
  }
}

function releasedFacts({ entries, replayed }: Outcome, files?: 'current' | 'pending'): shapes.ReleasedLock {
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
