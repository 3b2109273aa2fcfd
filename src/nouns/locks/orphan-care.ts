import { join } from 'node:path'
import type { z } from 'zod'
import type { EndedLock, RetiredFolder } from '../../api/shapes/locks.ts'
import type { FileOrphan } from '../../domain/lock/commands.ts'
import type { LockEventData } from '../../domain/lock/events.ts'
import type { breakFolderSchema, breakSchema, recoverSchema, retireSchema } from '../../domain/lock/inputs.ts'
import { kindOf } from '../../domain/lock/names.ts'
import type { Grant, LockState } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import type { DeliverableFolder } from '../../files/deliverable/deliverable-folder.ts'
import { judge } from '../../files/deliverable/lock-file-verdict.ts'
import { isOperator } from '../../kernel/config.ts'
import { given } from '../../kernel/given.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, submit } from '../../writer/core.ts'
import { deathOfHolder } from '../../writer/holders.ts'
import { lockGrantOf, lockStateOf } from '../../writer/lock-rows.ts'
import { errorOf } from '../../writer/refusals.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { Deliverables } from './deliverables.ts'
import { breakFile, clearFolder, recoverFile } from './file-recovery.ts'
import { fileStatus, isOfFile, statusOf } from './lock-status.ts'
import type { PathLocks } from './paths.ts'
import { demandScopeToEnd } from './write-scope.ts'

/** Ends locks that their holders do not release: recovers orphans, breaks grants, retires folders. */
export class OrphanCare {
  readonly #core: Core
  readonly #deliverables: Deliverables
  readonly #paths: PathLocks

  constructor(core: Core, deliverables: Deliverables, paths: PathLocks) {
    this.#core = core
    this.#deliverables = deliverables
    this.#paths = paths
  }

  async recover(input: z.output<typeof recoverSchema>, actor: Actor): Promise<EndedLock> {
    if (!input.dry_run && kindOf(input.name) === 'deliverable') demandScopeToEnd(this.#core, actor)
    return this.recoverAsLedger(input, actor)
  }

  /** The same without a write scope, for the service, which recovers expired locks for the ledger. */
  async recoverAsLedger(
    { dry_run, folder, name, reason }: z.output<typeof recoverSchema>,
    actor: Actor,
  ): Promise<EndedLock> {
    const state = await lockStateOf(this.#core, name)
    const place = this.#placeOf(name, state, folder)
    if (dry_run) return this.#preview(name, place)
    if (kindOf(name) === 'path') {
      const holders = await this.#paths.holdersOf(name)
      return endedBy(name, await submit(this.#core, { type: 'lock.recover', holders, name, reason }, { actor }))
    }
    const append = async (file_orphan?: FileOrphan) =>
      submit(
        this.#core,
        { type: 'lock.recover', name, reason, file_orphan, ...(await deathOfHolder(this.#core, name)) },
        { actor },
      )
    const { entries } =
      place === undefined
        ? await append()
        : await recoverFile(this.#core, this.#deliverables, { place, actor, record: append })
    const entry = entries.at(-1)
    const {
      aside,
      digest,
      previous_holder = null,
      previous_token = null,
      recovery_reason = null,
    } = (entry?.data ?? {}) as Partial<LockEventData<'lock.recovered'>>
    const grant = state?.grant
    const files = grant?.kind === 'deliverable' ? await this.#deliverables.removeFileOf(grant) : undefined
    return {
      name,
      previous_holder,
      previous_token,
      recovery_reason,
      seq: entry?.seq ?? null,
      dry_run,
      ...given({ aside, digest, files }),
    }
  }

  /**
   * Shows evidence and verdict without changing anything. Errors: NOT_FOUND if neither the ledger nor the folder has
   * a lock.
   */
  async #preview(name: string, place: DeliverableFolder | undefined): Promise<EndedLock> {
    const verdict = place === undefined ? undefined : await judge(this.#core, place)
    if (verdict?.kind === 'elsewhere') throw errorOf(verdict.refusal)
    const status =
      place !== undefined && verdict !== undefined && isOfFile(verdict)
        ? await fileStatus(this.#core, place, verdict)
        : await (kindOf(name) === 'path' ? this.#paths.status(name, undefined) : statusOf(this.#core, name))
    const { holder = null, orphan_reason = null, token = null } = status
    const facts = { previous_holder: holder, previous_token: token, recovery_reason: orphan_reason }
    return { name, ...facts, seq: null, dry_run: true, status }
  }

  /**
   * Breaks a grant, by its name or its folder. If no grant explains the lock file there, an operator moves the file
   * aside instead. Errors: those of the decision, LOCK_PLACEMENT, LOCK_IS_HELD (the file of another current grant).
   */
  async break(
    input: z.output<typeof breakSchema> | z.output<typeof breakFolderSchema>,
    actor: Actor,
  ): Promise<EndedLock> {
    const place = await this.#placeToBreak(input)
    const { reason } = input
    const name = 'name' in input ? input.name : (place?.name ?? '')
    if (place !== undefined && isOperator(this.#core.config, actor.actor_id)) {
      const moved = await breakFile(this.#core, this.#deliverables, { place, reason, actor })
      if (moved !== undefined) return moved
    }
    const grant = await lockGrantOf(this.#core, name)
    const outcome = await submit(this.#core, { type: 'lock.break', name, reason }, { actor })
    if (kindOf(name) === 'path') return endedBy(name, outcome)
    const { entries } = outcome
    const files = grant === null ? undefined : await this.#filesAfter(grant)
    const { holder = null, token = null } = grant ?? {}
    const seq = entries[0]?.seq ?? null
    return {
      name,
      previous_holder: holder,
      previous_token: token,
      recovery_reason: null,
      seq,
      dry_run: false,
      ...given({ files }),
    }
  }

  /**
   * The folder whose file may have to be moved aside: the named one, or that of a name without a grant. A grant is broken
   * whatever its file is.
   */
  async #placeToBreak(input: { folder: string } | { name: string }): Promise<DeliverableFolder | undefined> {
    if ('folder' in input) return this.#deliverables.folderOfAny(input.folder)
    const state = await lockStateOf(this.#core, input.name)
    return state?.folder && state.grant === null ? this.#placeOf(input.name, state, undefined) : undefined
  }

  async retire({ folder, reason }: z.output<typeof retireSchema>, actor: Actor): Promise<RetiredFolder> {
    demandScopeToEnd(this.#core, actor)
    const place = this.#deliverables.folderOfAny(folder)
    const { name } = place
    return this.#deliverables.inFolder(place, async (steps) => {
      const isCleared = await clearFolder(this.#core, steps, {
        place,
        actor,
        record: async (file_orphan) => {
          const recover = {
            type: 'lock.recover' as const,
            name,
            reason: reason ?? 'its folder is retired',
            file_orphan,
          }
          return submit(this.#core, { ...recover, ...(await deathOfHolder(this.#core, name)) }, { actor })
        },
      })
      const grant = await lockGrantOf(this.#core, name)
      const retire = { type: 'lock.retire' as const, name, folder: place.folder, reason: reason ?? null }
      const { entries } = await submit(this.#core, { ...retire, ...(await deathOfHolder(this.#core, name)) }, { actor })
      if (grant) await steps.removeFileOf(grant, place, actor)
      return {
        name,
        folder: place.folder,
        recovered: isCleared || entries.some(({ type }) => type === 'lock.recovered'),
      }
    })
  }

  #filesAfter(grant: Grant): Promise<'current' | 'pending'> {
    return grant.kind === 'deliverable' ? this.#deliverables.removeFileOf(grant) : this.#core.filesDrained()
  }

  /** A deliverable's folder: the folder named by the caller, or else the one its name is bound to. */
  #placeOf(name: string, state: LockState | undefined, folder: string | undefined): DeliverableFolder | undefined {
    if (!name.startsWith('deliverable:')) return undefined
    const path = folder ?? (state?.folder ? join(this.#core.layout.root, state.folder) : undefined)
    if (path === undefined) {
      throw new LockstepError('NOT_FOUND', `the ledger has no folder for ${name}`, {
        hint: 'Name the folder in `folder`.',
      })
    }
    let place: DeliverableFolder
    try {
      place = this.#deliverables.folderOf(path)
    } catch (error) {
      // The folder of an orphan is gone, so there is no file, only the grant to end.
      if (error instanceof LockstepError && error.code === 'NOT_FOUND' && state !== undefined) return undefined
      throw error
    }
    if (place.name === name) return place
    throw new LockstepError('LOCK_PLACEMENT', `${place.path} is the folder of ${place.name}, not of ${name}`, {
      details: { name, folder: place.folder },
    })
  }
}

/** The end of grants of a path, as the first of their entries says it. */
function endedBy(name: string, { entries }: Outcome): EndedLock {
  const [first] = entries
  const {
    previous_holder = null,
    previous_token = null,
    recovery_reason = null,
  } = (first?.data ?? {}) as Partial<LockEventData<'lock.recovered'>>
  return { name, previous_holder, previous_token, recovery_reason, seq: first?.seq ?? null, dry_run: false }
}
