import type { Acquire, Claim, FileOrphan } from '../../domain/lock/commands.ts'
import { lockFileText } from '../../domain/lock/lock-file.ts'
import type { Grant } from '../../domain/lock/state.ts'
import { isOutcomeUnknown, underNote } from '../../files/deliverable/claims.ts'
import {
  type DeliverableFolder,
  deliverableFolder,
  vanishedFolder,
} from '../../files/deliverable/deliverable-folder.ts'
import { FolderQueue } from '../../files/deliverable/folder-queue.ts'
import * as files from '../../files/deliverable/lock-file.ts'
import { dropAside, putBack } from '../../files/deliverable/lock-file-aside.ts'
import { type GrantData, LockFileSteps } from '../../files/deliverable/lock-file-steps.ts'
import { judge } from '../../files/deliverable/lock-file-verdict.ts'
import { isoTime } from '../../kernel/clock.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { type Core, submit } from '../../writer/core.ts'
import { contentionWith, deathOfHolder } from '../../writer/holders.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import { errorOf } from '../../writer/refusals.ts'
import type { Line, Outcome } from '../../writer/submission.ts'
import { releaseGrant, renewGrant } from './held-deliverable.ts'

/** How often a claim is retried while other tools create and remove files in its place. */
const claimTriesMax = 5

/** A claim in progress: its command, folder and actor, and its place in line. */
interface Claimant {
  command: Acquire
  place: DeliverableFolder
  actor: Actor
  calledFrom: Line | undefined
  /** Set if a step was left to the next open. */
  note: { isKept: boolean }
}

/**
 * The file steps of deliverable locks. They happen before the command queue, one at a time per folder. The facts that
 * the decision needs are passed with the command. Each folder is first noted under `.lockstep/claims`, so the next
 * open can finish the steps after a crash.
 */
export class Deliverables {
  readonly #core: Core
  readonly #files: LockFileSteps
  readonly #queue = new FolderQueue()

  constructor(core: Core) {
    this.#core = core
    this.#files = new LockFileSteps(core)
  }

  folderOf(path: string): DeliverableFolder {
    return deliverableFolder(path, this.#core.layout.root, this.#core.config)
  }

  /** Like `folderOf`, but also accepts a folder that no longer exists: its lock is known by the folder's name. */
  folderOfAny(path: string): DeliverableFolder {
    return vanishedFolder(path, this.#core.layout.root, this.#core.config) ?? this.folderOf(path)
  }

  /** Runs steps on a folder's lock file, one caller at a time. */
  inFolder<T>(place: DeliverableFolder, steps: (files: LockFileSteps) => Promise<T>): Promise<T> {
    return this.#queue.run(place.path, () => steps(this.#files))
  }

  /**
   * Claims the lock file, then requests the grant. A refused claim is withdrawn. After the grant is durable, the file
   * is checked again. Errors: the errors of the decision and of the files, and LOCK_CONTENTION with a file.
   */
  acquire(command: Acquire, place: DeliverableFolder, actor: Actor, calledFrom?: Line): Promise<Outcome> {
    return this.inFolder(place, () =>
      underNote(this.#core, command.lock_ref, place.path, async (note) => {
        await this.#files.clearDebris(place)
        for (let attempt = 1; attempt <= claimTriesMax; attempt += 1) {
          const outcome = await this.#tryAcquire({ command, place, actor, calledFrom, note })
          if (outcome !== undefined) return outcome
        }
        throw await this.#files.contention(place, `other tools keep creating and removing files at ${place.lock}`)
      }),
    )
  }

  /** Returns undefined if a file of another tool appeared meanwhile, so that the caller judges again. */
  async #tryAcquire(claimant: Claimant): Promise<Outcome | undefined> {
    const { command, place, actor } = claimant
    const verdict = await judge(this.#core, place, { lock_ref: command.lock_ref, actor_id: actor.actor_id })
    switch (verdict.kind) {
      case 'own':
        return this.#again(claimant, verdict.grant)
      case 'held': {
        await this.#files.restore(place, verdict.grant, actor)
        throw await contentionWith(this.#core, verdict.grant, actor)
      }
      case 'elsewhere':
      case 'foreign':
      case 'unreadable':
        throw errorOf(verdict.refusal)
      case 'free':
        return this.#claim(claimant, undefined, undefined)
      case 'orphan': {
        const aside = await this.#files.setAside(place, verdict.seen, actor)
        return aside === 'changed' ? undefined : this.#claim(claimant, aside.path, verdict.orphan)
      }
    }
  }

  /** A repeated acquisition returns the same grant, if the file still belongs to the holder. */
  async #again({ command, place, actor }: Claimant, grant: Grant): Promise<Outcome> {
    await this.#files.restore(place, grant, actor)
    if ((await this.#files.look(grant, place)).seen === undefined) {
      throw await this.#files.loseClaim(place, command.lock_ref, actor)
    }
    return submit(this.#core, command, { actor })
  }

  /** Links the new file into place and requests the grant. `aside` is the orphan's file that was there before. */
  async #claim(
    claimant: Claimant,
    aside: string | undefined,
    file_orphan: FileOrphan | undefined,
  ): Promise<Outcome | undefined> {
    const { command, place, actor, calledFrom, note } = claimant
    const claim = this.#newClaim(place)
    const text = this.#textOf(command, claim)
    const claimed = await files.claim(place.path, command.lock_ref, text).catch(async (error: unknown) => {
      await this.#putBack(place, aside).catch(() => {
        note.isKept = true
      })
      throw error
    })
    if (claimed === undefined) {
      await this.#putBack(place, aside)
      return undefined
    }
    const asked = { ...command, claim, file_orphan, ...(await deathOfHolder(this.#core, command.name)) }
    const outcome = await submit(this.#core, asked, { actor, calledFrom }).catch(async (error: unknown) => {
      // If the outcome is unknown, the grant may exist. The files stay, and the next open compares them with the log.
      if (!isOutcomeUnknown(error)) await this.#undo(claimant, claimed, aside)
      throw error
    })
    // The grant is durable from here on. A crash, or a disk that fails to remove the file, leaves at most the aside.
    // The note names its folder. The grant stays valid and is returned.
    if (aside !== undefined) {
      await dropAside(aside).catch(() => {
        note.isKept = true
      })
    }
    if ((await files.isStill(place.lock, claimed)) || (await this.#isRestored(claimant))) return outcome
    throw await this.#files.loseClaim(place, command.lock_ref, actor)
  }

  /** Puts back the file of a new grant that was removed at once. False if another file is there. */
  async #isRestored({ command, place, actor }: Claimant): Promise<boolean> {
    const grant = await lockGrantOf(this.#core, command.name)
    if (grant?.lock_ref !== command.lock_ref) return false
    if ((await this.#files.look(grant, place)).seen !== undefined) return false
    await this.#files.restore(place, grant, actor)
    return (await this.#files.look(grant, place)).seen !== undefined
  }

  /** Withdraws the claim of a refused grant. The caller gets the refusal; steps that fail here are left to the note. */
  async #undo({ place, actor, note }: Claimant, claimed: files.Claimed, aside: string | undefined): Promise<void> {
    try {
      await this.#files.withdraw(place, claimed, actor)
      await this.#putBack(place, aside)
    } catch {
      note.isKept = true
    }
  }

  /** Renews the grant of a folder. Errors: those of `renewGrant`. */
  renew(grant: Grant, actor: Actor): Promise<Outcome> {
    const place = this.#files.placeOf(grant)
    return this.inFolder(place, (steps) => renewGrant(this.#core, steps, { actor, grant, place }))
  }

  /** Releases the grant of a folder, then removes its file. Errors: those of `releaseGrant`. */
  release(
    grant: Grant,
    outcome: 'failure' | 'success',
    actor: Actor,
  ): Promise<Outcome & { files: 'current' | 'pending' }> {
    const place = this.#files.placeOf(grant)
    return this.inFolder(place, (steps) => releaseGrant(this.#core, steps, { actor, grant, outcome, place }))
  }

  /** Removes the file of an ended grant, and remains of an earlier removal. Returns `pending` if that failed. */
  removeFileOf(grant: GrantData, actor = this.#core.actor): Promise<'current' | 'pending'> {
    const place = this.#files.placeOf(grant)
    return this.inFolder(place, async () => {
      const removed = await this.#files.removeFileOf(grant, place, actor)
      return removed === 'current' ? this.#files.dropAsidesOf(grant, place) : removed
    })
  }

  async #putBack(place: DeliverableFolder, aside: string | undefined): Promise<void> {
    if (aside !== undefined) await putBack(place.path, aside)
  }

  #newClaim({ deliverable_id, folder }: DeliverableFolder): Claim {
    const { wall_ms, lease_clock } = this.#core.now()
    return { acquired: isoTime(wall_ms), deliverable_id, folder, lease_clock }
  }

  #textOf({ evidence, holder, lease_duration_s, lock_ref }: Acquire, { acquired, deliverable_id }: Claim): string {
    const ledger = this.#core.log.meta.origin
    return lockFileText({
      acquired,
      deliverable_id,
      evidence,
      holder,
      lease_duration_s: lease_duration_s ?? limits.leaseSecondsDefault,
      ledger,
      lock_ref,
    })
  }
}
