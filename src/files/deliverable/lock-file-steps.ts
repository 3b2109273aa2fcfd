import { join } from 'node:path'
import type { LockEventData } from '../../domain/lock/events.ts'
import { isCutFile, lockFileName, lockFileOfGrant } from '../../domain/lock/lock-file.ts'
import { contentionWithFile } from '../../domain/lock/report.ts'
import type { Grant } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, submit } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import { errorOf } from '../../writer/refusals.ts'
import type { DeliverableFolder } from './deliverable-folder.ts'
import * as files from './lock-file.ts'
import { dropAside, setAside as putAside, putBack } from './lock-file-aside.ts'
import { findingOf } from './lock-file-verdict.ts'

/** The members of a grant that identify its lock file. */
export type GrantData = Pick<LockEventData<'lock.acquired'>, 'deliverable_id' | 'folder' | 'lock_ref' | 'name'>

/**
 * The result of setting a file aside: its new path; no path if the file was already gone; or `changed` if another
 * file had taken its place, and is back in place.
 */
export type Aside = { path: string | undefined } | 'changed'

/** How much of each file a conflict record keeps, in UTF-16 code units. */
const excerptChars = 2_000

/** The single steps on a folder's lock file. Each can be repeated safely. `Deliverables` combines them. */
export class LockFileSteps {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Moves the judged file out of its place. If two files claim the place, that is recorded. Errors: LOCK_CONTENTION.
   */
  async setAside(place: DeliverableFolder, seen: files.Seen, actor: Actor): Promise<Aside> {
    const removal = await putAside(place.path, seen, this.#core.newLockId().slice(4, 16))
    if (removal.outcome === 'aside') return { path: removal.aside }
    if (removal.outcome === 'absent') return { path: undefined }
    if (removal.outcome === 'changed') return 'changed'
    const { aside, asideText, foundText } = removal
    const contents = { aside_content: excerpt(asideText), found_content: excerpt(foundText) }
    const report = { fact: 'conflict' as const, aside, ...contents }
    await submit(this.#core, { type: 'lock.report_file', name: place.name, report }, { actor })
    throw await this.contention(place, `two lock files claim ${place.lock}; one was moved to ${aside}`)
  }

  /**
   * Removes temporary files. A file that was set aside is removed if it is this ledger's but not the current grant's.
   * Otherwise it is put back in place, if the place is free, and judged there.
   */
  async clearDebris(place: DeliverableFolder): Promise<void> {
    const { temporaries, asides } = await files.debrisIn(place.path)
    for (const temporary of temporaries) await dropAside(temporary)
    for (const aside of asides) {
      const seen = await files.inspect(aside)
      const isOurs = seen?.content?.ledger === this.#core.log.meta.origin
      const isCurrent = isOurs && seen.content?.lock_ref === (await lockGrantOf(this.#core, place.name))?.lock_ref
      if (isOurs && !isCurrent) await dropAside(aside)
      else await putBack(place.path, aside)
    }
  }

  /**
   * Restores the file of a current grant after somebody removed it, or after a crash of the machine cut it, and records
   * that. Does nothing if another file is there.
   */
  async restore(place: DeliverableFolder, grant: Grant, actor: Actor): Promise<void> {
    const { cut, other } = await this.look(grant, place)
    if (cut !== undefined) await this.remove(place, cut, actor)
    else if (other !== 'missing') return
    const text = lockFileOfGrant(grant, this.#core.log.meta.origin)
    if ((await files.claim(place.path, grant.lock_ref, text)) === undefined) return
    const report = { fact: 'restored' as const, lock_ref: grant.lock_ref, token: grant.token, folder: place.folder }
    await submit(this.#core, { type: 'lock.report_file', name: place.name, report }, { actor })
  }

  /**
   * Removes the file of an ended grant; the file of another holder stays. Returns `pending` if it cannot be removed
   * now.
   */
  async removeFileOf(grant: GrantData, place: DeliverableFolder, actor: Actor): Promise<'current' | 'pending'> {
    try {
      const seen = await files.inspect(place.lock)
      if (seen?.content?.lock_ref === grant.lock_ref) await this.remove(place, seen, actor)
      return 'current'
    } catch (error) {
      // After LOCK_CONTENTION the conflict is recorded, and the remaining file is not this grant's. Other failures
      // are retried later: the grant has ended anyway.
      return isGone(error) || (error instanceof LockstepError && error.code === 'LOCK_CONTENTION')
        ? 'current'
        : 'pending'
    }
  }

  /** Removes the judged file. Another file that took its place meanwhile stays. */
  async remove(place: DeliverableFolder, seen: files.Seen, actor: Actor): Promise<void> {
    const aside = await this.setAside(place, seen, actor)
    if (aside !== 'changed' && aside.path !== undefined) await dropAside(aside.path)
  }

  /** Removes files that a crash left while it removed a grant's file. */
  async dropAsidesOf(grant: GrantData, place: DeliverableFolder): Promise<'current' | 'pending'> {
    try {
      for (const aside of (await files.debrisIn(place.path)).asides) {
        if ((await files.inspect(aside))?.content?.lock_ref === grant.lock_ref) await dropAside(aside)
      }
      return 'current'
    } catch (error) {
      return isGone(error) ? 'current' : 'pending'
    }
  }

  /** Removes the file of a refused claim, if it is still there. */
  async withdraw(place: DeliverableFolder, claimed: files.Claimed, actor: Actor): Promise<void> {
    if (!(await files.isStill(place.lock, claimed))) return
    const seen = await files.inspect(place.lock)
    if (seen !== undefined) await this.remove(place, seen, actor)
  }

  /**
   * Reads the file of a grant. If the file is not the grant's own, `other` is its holder, or `missing`. `cut` is the
   * grant's own file without its end. Errors: FILE_DENIED and other file errors.
   */
  async look(
    grant: Grant,
    place: DeliverableFolder,
  ): Promise<{ seen?: files.Seen; other?: string; cut?: files.Seen | undefined }> {
    try {
      const seen = await files.inspect(place.lock)
      if (seen?.content?.lock_ref === grant.lock_ref) return { seen }
      const isCut = seen !== undefined && isCutFile(seen.text, grant, this.#core.log.meta.origin)
      return { other: holderIn(seen), cut: isCut ? seen : undefined }
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'LOCK_PLACEMENT') return { other: 'not a plain file' }
      throw error
    }
  }

  /** Records that a grant's file is missing or belongs to another holder. Returns LEASE_LOST for the grant's holder. */
  async lose(grant: Grant, found: string, actor: Actor): Promise<LockstepError> {
    await this.#reportLost(grant, found, actor)
    return new LockstepError(
      'LEASE_LOST',
      `the lock file of ${grant.name} no longer belongs to this holder; found: ${found}`,
      {
        details: { name: grant.name, token: grant.token, found },
        hint: 'A tool outside this ledger took the lock. Stop the work and see "lockstep lock history".',
      },
    )
  }

  /**
   * The same for a claim whose caller has no answer yet. The caller gets LOCK_CONTENTION, because another holder has
   * the file.
   */
  async loseClaim(place: DeliverableFolder, lockRef: string, actor: Actor): Promise<LockstepError> {
    const seen = await files.inspect(place.lock).catch(() => undefined)
    const found = holderIn(seen)
    await this.#reportLost({ name: place.name, lock_ref: lockRef }, found, actor)
    return this.contention(
      place,
      `the lock file of ${place.name} was replaced right after it was claimed; found: ${found}`,
    )
  }

  async #reportLost(grant: { name: string; lock_ref: string }, found: string, actor: Actor): Promise<void> {
    const { lock_ref, name } = grant
    const report = { fact: 'lost' as const, lock_ref, found: excerpt(found) }
    await submit(this.#core, { type: 'lock.report_file', name, report }, { actor }).catch((error: unknown) => {
      // The grant has ended meanwhile, which is already recorded.
      if (!(error instanceof LockstepError) || error.code !== 'LOCK_NOT_HELD') throw error
    })
  }

  /** LOCK_CONTENTION with the file that is in place now. */
  async contention(place: DeliverableFolder, message: string): Promise<LockstepError> {
    const seen = await files.inspect(place.lock).catch(() => undefined)
    return errorOf({ ...contentionWithFile(findingOf(this.#core, place, seen), this.#core.now()), message })
  }

  /** The folder and lock file of a grant. */
  placeOf(grant: GrantData): DeliverableFolder {
    const { deliverable_id = '', folder = '', name } = grant
    const path = join(this.#core.layout.root, folder)
    return { path, folder, deliverable_id, name, lock: join(path, lockFileName) }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'NOT_FOUND'
}

/** The holder that a lock file names, for reports. */
function holderIn(seen: files.Seen | undefined): string {
  return seen === undefined ? 'missing' : (seen.content?.holder ?? 'unreadable')
}

/** May cut in the middle of a character; the decision that records the excerpt makes it well-formed. */
function excerpt(text: string): string {
  return text.trim().slice(0, excerptChars)
}
