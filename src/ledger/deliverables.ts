import { existsSync } from 'node:fs'
import { isoTime } from '../core/clock.ts'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Acquire, Claim, FileOrphan } from '../core/lock/commands.ts'
import { lockFileOfGrant, lockFileText } from '../core/lock/lock-file.ts'
import { type Grant, orphanReason } from '../core/lock/state.ts'
import { type DeliverableFolder, deliverableFolder, vanishedFolder } from '../fs/deliverable-folder.ts'
import * as files from '../fs/lock-file.ts'
import { dropAside, putBack } from '../fs/lock-file-aside.ts'
import { isOutcomeUnknown, underNote } from './claims.ts'
import { type Core, submit } from './core.ts'
import { FolderQueue } from './folder-queue.ts'
import { contentionWith, deathOfHolder } from './holders.ts'
import { type GrantData, LockFileSteps } from './lock-file-steps.ts'
import { judge } from './lock-file-verdict.ts'
import { errorOf } from './refusals.ts'
import type { Line, Outcome } from './submission.ts'

/** How often a claim is tried anew when files of other tools come and go under it. */
const claimTriesMax = 5

/** Who claims what, and from which place in line. */
interface Claimant {
  command: Acquire
  place: DeliverableFolder
  actor: Actor
  calledFrom: Line | undefined
  /** Kept where a step was left to the next open. */
  note: { isKept: boolean }
}

/**
 * The file side of deliverable locks. Every step happens before the queue, one at a time per folder; what the
 * decision needs goes along as data. Which folders are touched is noted under `.lockstep/claims` first, so that
 * the next open finishes what a crash left.
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

  /** The same for a folder that may have vanished: its lock is still known by the folder's name. */
  folderOfAny(path: string): DeliverableFolder {
    return vanishedFolder(path, this.#core.layout.root, this.#core.config) ?? this.folderOf(path)
  }

  /** Steps on one folder's lock file, in turn with all others on it. */
  inFolder<T>(place: DeliverableFolder, steps: (files: LockFileSteps) => Promise<T>): Promise<T> {
    return this.#queue.run(place.path, () => steps(this.#files))
  }

  /**
   * Claims the lock file, then asks for the grant; the claim is taken back if the grant is refused, and looked at
   * again once it is durable. Errors: those of the decision, of the files, and LOCK_CONTENTION with a file.
   */
  acquire(command: Acquire, place: DeliverableFolder, actor: Actor, calledFrom?: Line): Promise<Outcome> {
    return this.inFolder(place, () =>
      underNote(this.#core, command.lock_ref, place.path, async (note) => {
        await this.#files.clearDebris(place)
        for (let attempt = 1; attempt <= claimTriesMax; attempt += 1) {
          const outcome = await this.#tryAcquire({ command, place, actor, calledFrom, note })
          if (outcome !== undefined) return outcome
        }
        throw await this.#files.contention(place, `files of other tools come and go at ${place.lock}`)
      }),
    )
  }

  /** Undefined where a file of another tool came between, and all is to be judged anew. */
  async #tryAcquire(claimant: Claimant): Promise<Outcome | undefined> {
    const { command, place, actor } = claimant
    const verdict = await judge(this.#core, place, { lock_ref: command.lock_ref, actor_id: actor.actor_id })
    switch (verdict.kind) {
      case 'own':
        return this.#again(claimant, verdict.grant, verdict.seen)
      case 'held': {
        if (verdict.seen === undefined) await this.#files.restore(place, verdict.grant, actor)
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

  /** The same acquisition again: the same grant, if its file still is the holder's. */
  async #again({ command, place, actor }: Claimant, grant: Grant, seen: files.Seen | undefined): Promise<Outcome> {
    if (seen === undefined) await this.#files.restore(place, grant, actor)
    else if (seen.content?.lock_ref !== grant.lock_ref) {
      throw await this.#files.loseClaim(place, command.lock_ref, actor)
    }
    return submit(this.#core, command, { actor })
  }

  /** Links the new file into place and asks for the grant; `aside` is the orphan's file that stood there. */
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
    const asked = { ...command, claim, file_orphan, ...deathOfHolder(this.#core, command.name) }
    const outcome = await submit(this.#core, asked, { actor, calledFrom }).catch(async (error: unknown) => {
      // An unknown outcome may be a grant: the files stay, and the next open judges them by what the log then holds.
      if (!isOutcomeUnknown(error)) await this.#undo(claimant, claimed, aside)
      throw error
    })
    // Durable from here on: a crash leaves at most the aside, which the note names the folder of. So does a disk that
    // does not remove it: the grant stands, and its holder is told of it.
    if (aside !== undefined) {
      await dropAside(aside).catch(() => {
        note.isKept = true
      })
    }
    if (await files.isStill(place.lock, claimed)) return outcome
    throw await this.#files.loseClaim(place, command.lock_ref, actor)
  }

  /** Takes the claim of a refused grant back. The refusal is the answer, so what cannot be undone is left to the note. */
  async #undo({ place, actor, note }: Claimant, claimed: files.Claimed, aside: string | undefined): Promise<void> {
    try {
      await this.#files.withdraw(place, claimed, actor)
      await this.#putBack(place, aside)
    } catch {
      note.isKept = true
    }
  }

  /** Renews the grant. Its file is rewritten first, so that it never promises less than the ledger. */
  renew(grant: Grant, actor: Actor): Promise<Outcome> {
    const place = this.#files.placeOf(grant)
    return this.inFolder(place, async () => {
      const command = { type: 'lock.renew' as const, name: grant.name, lock_ref: grant.lock_ref }
      // A lease that ran out is never resurrected, so its file is left as it is.
      if (orphanReason(grant, undefined, this.#core.now()) !== undefined) return submit(this.#core, command, { actor })
      const { seen, other = 'missing' } = await this.#files.look(grant, place)
      if (seen === undefined) throw await this.#files.lose(grant, other, actor)
      const { acquired, lease_clock } = this.#newClaim(place)
      const text = lockFileOfGrant({ ...grant, acquired }, this.#core.log.meta.origin)
      if (!(await files.rewrite(place.lock, seen, text))) {
        throw await this.#files.lose(grant, (await this.#files.look(grant, place)).other ?? 'replaced', actor)
      }
      const renewed = submit(this.#core, { ...command, claim: { acquired, lease_clock } }, { actor })
      return renewed.catch(async (error: unknown) => {
        // Refused after all: the file promises no more than it did.
        if (!isOutcomeUnknown(error)) await this.#writeBack(grant, place, seen.text).catch(() => {})
        throw error
      })
    })
  }

  async #writeBack(grant: Grant, place: DeliverableFolder, text: string): Promise<void> {
    const { seen } = await this.#files.look(grant, place)
    if (seen !== undefined) await files.rewrite(place.lock, seen, text)
  }

  /** Releases the grant, then removes its file. One that is another's, or gone, means that the lease was lost. */
  release(
    grant: Grant,
    outcome: 'failure' | 'success',
    actor: Actor,
  ): Promise<Outcome & { files: 'current' | 'pending' }> {
    const place = this.#files.placeOf(grant)
    return this.inFolder(place, async () => {
      // A file that cannot be looked at now does not keep its holder from releasing; its removal is tried again.
      const { other } = await this.#files.look(grant, place).catch(() => ({ other: undefined }))
      if (other !== undefined && !this.#isExplained(grant, place, other)) {
        throw await this.#files.lose(grant, other, actor)
      }
      const released = await submit(
        this.#core,
        { type: 'lock.release', name: grant.name, lock_ref: grant.lock_ref, outcome },
        { actor },
      )
      return { ...released, files: await this.#files.removeFileOf(grant, place, actor) }
    })
  }

  /** Removes the file of a grant that ended, and what a crash left of its removal; `pending` where that failed. */
  removeFileOf(grant: GrantData, actor = this.#core.actor): Promise<'current' | 'pending'> {
    const place = this.#files.placeOf(grant)
    return this.inFolder(place, async () => {
      const removed = await this.#files.removeFileOf(grant, place, actor)
      return removed === 'current' ? this.#files.dropAsidesOf(grant, place) : removed
    })
  }

  /** Whether a file is missing as it may be: its lease is over, so others may have been and gone; or its folder is. */
  #isExplained(grant: Grant, place: DeliverableFolder, other: string): boolean {
    if (other !== 'missing') return false
    return orphanReason(grant, undefined, this.#core.now()) !== undefined || !existsSync(place.path)
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
