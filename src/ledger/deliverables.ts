import { rmSync } from 'node:fs'
import { isoTime } from '../core/clock.ts'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Acquire, Claim, FileOrphan } from '../core/lock/commands.ts'
import { lockFileOfGrant, lockFileText } from '../core/lock/lock-file.ts'
import type { Grant } from '../core/lock/state.ts'
import { LockstepError } from '../errors.ts'
import { type DeliverableFolder, deliverableFolder, vanishedFolder } from '../fs/deliverable-folder.ts'
import * as files from '../fs/lock-file.ts'
import { errorOf } from './batch.ts'
import { noteClaim } from './claims.ts'
import { type Core, submit } from './core.ts'
import { FolderQueue } from './folder-queue.ts'
import { deathOfHolder } from './holders.ts'
import { type GrantData, LockFileSteps } from './lock-file-steps.ts'
import type { Line, Outcome } from './submission.ts'

/** How often a claim is tried anew when files of other tools come and go under it. */
const claimTriesMax = 5

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

  /**
   * Claims the lock file, then asks for the grant; the claim is taken back if the grant is refused, and looked at
   * again once it is durable. Errors: those of the decision, of the files, and LOCK_CONTENTION with a file.
   */
  acquire(command: Acquire, place: DeliverableFolder, actor: Actor, calledFrom?: Line): Promise<Outcome> {
    return this.#queue.run(place.path, async () => {
      const note = noteClaim(this.#core.layout, command.lock_ref, place.path)
      try {
        await this.#files.clearDebris(place)
        for (let attempt = 1; ; attempt += 1) {
          const outcome = await this.#tryAcquire(command, place, actor, calledFrom)
          if (outcome !== undefined) return outcome
          if (attempt === claimTriesMax)
            throw new LockstepError('LOCK_CONTENTION', `files of other tools come and go at ${place.lock}`)
        }
      } finally {
        rmSync(note, { force: true })
      }
    })
  }

  async #tryAcquire(
    command: Acquire,
    place: DeliverableFolder,
    actor: Actor,
    calledFrom?: Line,
  ): Promise<Outcome | undefined> {
    const verdict = await this.#files.judge(place, command, actor)
    if (verdict.kind === 'own') return submit(this.#core, command, { actor, calledFrom })
    if (verdict.kind === 'taken') {
      if (verdict.restore !== undefined) await this.#files.restore(place, verdict.restore, actor)
      if (verdict.refusal !== undefined) throw errorOf(verdict.refusal)
      // The decision itself says contention, with everything it knows of the holder.
      const death = deathOfHolder(this.#core, command.name)
      return submit(this.#core, { ...command, ...death }, { actor, calledFrom })
    }
    const removal = verdict.kind === 'orphan' ? await this.#files.setAside(place, verdict.seen, actor) : undefined
    if (removal === 'again') return undefined
    const claim = this.#newClaim(place)
    const ino = await files.claim(place.path, command.lock_ref, this.#textOf(command, claim))
    if (ino === undefined) {
      if (removal !== undefined) await files.putBack(place.path, removal)
      return undefined
    }
    return this.#grant(
      { ...command, claim, file_orphan: verdict.kind === 'orphan' ? verdict.orphan : undefined },
      { place, actor, calledFrom, ino, aside: removal },
    )
  }

  async #grant(
    command: Acquire,
    {
      place,
      actor,
      calledFrom,
      ino,
      aside,
    }: { place: DeliverableFolder; actor: Actor; calledFrom: Line | undefined; ino: bigint; aside: string | undefined },
  ): Promise<Outcome> {
    const death = deathOfHolder(this.#core, command.name)
    let outcome: Outcome
    try {
      outcome = await submit(this.#core, { ...command, ...death }, { actor, calledFrom })
    } catch (error) {
      const isUnknown = error instanceof LockstepError && error.details.outcome === 'unknown'
      // An unknown outcome may be a grant: the file stays, and the next open judges it by what the log then holds.
      if (!isUnknown) {
        await this.#files.removeIfStill(place, ino)
        if (aside !== undefined) await files.putBack(place.path, aside)
      }
      throw error
    }
    if (aside !== undefined) await files.dropAside(aside)
    if (await files.isStill(place.lock, ino)) return outcome
    const found = (await files.inspect(place.lock))?.content?.holder ?? 'missing'
    await this.#files.reportLost(place.name, command.lock_ref, found, actor)
    throw new LockstepError(
      'LOCK_CONTENTION',
      `the lock file of ${place.name} was taken by ${found} right after it was claimed`,
      {
        details: {
          name: place.name,
          deliverable_id: place.deliverable_id,
          holder: found,
          lease_remaining_s: 0,
          contention_time: isoTime(this.#core.now().wall_ms),
        },
      },
    )
  }

  /** Rewrites the file, then renews the grant, so that the file never promises less than the ledger. */
  renew(grant: Grant, actor: Actor): Promise<Outcome> {
    const place = this.#files.placeOf(grant)
    return this.#queue.run(place.path, async () => {
      const seen = await files.inspect(place.lock)
      const { acquired, lease_clock } = this.#newClaim(place)
      const text = lockFileOfGrant({ ...grant, acquired }, this.#core.log.meta.origin)
      if (seen?.content?.lock_ref !== grant.lock_ref || !(await files.rewrite(place.lock, seen, text))) {
        throw await this.#files.lose(grant, seen, actor)
      }
      return submit(
        this.#core,
        { type: 'lock.renew', name: grant.name, lock_ref: grant.lock_ref, claim: { acquired, lease_clock } },
        { actor },
      )
    })
  }

  /** Releases the grant, then removes its file. A file that is another's means that the lease was lost. */
  release(
    grant: Grant,
    outcome: 'failure' | 'success',
    actor: Actor,
  ): Promise<Outcome & { files: 'current' | 'pending' }> {
    const place = this.#files.placeOf(grant)
    return this.#queue.run(place.path, async () => {
      const seen = await files.inspect(place.lock)
      const isForeign = seen !== undefined && seen.content?.lock_ref !== grant.lock_ref
      if (isForeign) throw await this.#files.lose(grant, seen, actor)
      const released = await submit(
        this.#core,
        { type: 'lock.release', name: grant.name, lock_ref: grant.lock_ref, outcome },
        { actor },
      )
      return { ...released, files: await this.#files.removeFileOf(grant, place) }
    })
  }

  /** Removes the file of a grant that ended, for whatever reason; `pending` where that failed and is tried again. */
  removeFileOf(grant: GrantData): Promise<'current' | 'pending'> {
    const place = this.#files.placeOf(grant)
    return this.#queue.run(place.path, () => this.#files.removeFileOf(grant, place))
  }

  /** An orphaned or unreadable file in a folder, set aside while `record` appends its recovery, then dropped. */
  recoverFile<T>(
    place: DeliverableFolder,
    actor: Actor,
    record: (orphan: FileOrphan | undefined) => Promise<T>,
  ): Promise<T> {
    return this.#queue.run(place.path, async () => {
      const verdict = await this.#files.judge(place, undefined, actor)
      if (verdict.kind === 'taken' && verdict.refusal?.details.holder !== 'unreadable') {
        if (verdict.refusal !== undefined)
          throw new LockstepError('LOCK_NOT_ORPHAN', `${verdict.refusal.message}; recovery is for orphans only`, {
            details: verdict.refusal.details,
          })
        return record(undefined)
      }
      const seen = await files.inspect(place.lock)
      if (seen === undefined) return record(undefined)
      const unreadable: FileOrphan = {
        previous_acquired: null,
        previous_holder: 'unreadable',
        recovery_reason: 'unreadable',
      }
      const aside = await this.#files.setAside(place, seen, actor)
      if (aside === 'again')
        throw new LockstepError('LOCK_CONTENTION', `the lock file of ${place.name} changed meanwhile`)
      try {
        const recorded = await record(
          verdict.kind === 'taken' ? unreadable : verdict.kind === 'orphan' ? verdict.orphan : undefined,
        )
        if (aside !== undefined) await files.dropAside(aside)
        return recorded
      } catch (error) {
        if (aside !== undefined) await files.putBack(place.path, aside)
        throw error
      }
    })
  }

  /** What a lock's file says, for `status`, `doctor` and a dry run; nothing is changed. */
  inspectFile(place: DeliverableFolder): Promise<files.Seen | undefined> {
    return files.inspect(place.lock)
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
