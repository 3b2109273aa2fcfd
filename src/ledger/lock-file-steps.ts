import { join } from 'node:path'
import type { Refusal } from '../core/decider.ts'
import type { Actor } from '../core/ids.ts'
import type { Acquire, FileOrphan } from '../core/lock/commands.ts'
import type { LockEventData } from '../core/lock/events.ts'
import { fileOrphanReason, lockFileName, lockFileOfGrant } from '../core/lock/lock-file.ts'
import { streamOf } from '../core/lock/names.ts'
import { contentionWithFile, type FileFinding } from '../core/lock/report.ts'
import { type Grant, type LockState, orphanReason } from '../core/lock/state.ts'
import { LockstepError } from '../errors.ts'
import type { DeliverableFolder } from '../fs/deliverable-folder.ts'
import * as files from '../fs/lock-file.ts'
import { isRunning } from '../fs/process.ts'
import { type Core, submit } from './core.ts'
import { deathOfHolder } from './holders.ts'

/** What stands in a lock's place, judged against the ledger. */
export type Verdict =
  | { kind: 'free' }
  | { kind: 'own' }
  | { kind: 'taken'; refusal?: Refusal; restore?: Grant }
  | { kind: 'orphan'; seen: files.Seen; orphan?: FileOrphan }

/** What a grant's file is found by. */
export type GrantData = Pick<LockEventData<'lock.acquired'>, 'deliverable_id' | 'folder' | 'lock_ref' | 'name'>

/** The single steps on the lock file of one folder, each judged against the ledger. `Deliverables` puts them in order. */
export class LockFileSteps {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  async judge(place: DeliverableFolder, command: Acquire | undefined, actor: Actor): Promise<Verdict> {
    const seen = await files.inspect(place.lock)
    const grant = this.grantOf(place.name)
    const isBoundHere = grant === null || grant.folder === place.folder
    if (!isBoundHere) return { kind: 'taken' }
    if (grant !== null && !this.#isOrphan(grant)) {
      if (seen === undefined) return { kind: 'taken', restore: grant }
      return grant.lock_ref === command?.lock_ref && grant.actor_id === actor.actor_id
        ? { kind: 'own' }
        : { kind: 'taken' }
    }
    if (seen === undefined) return { kind: 'free' }
    if (grant !== null && seen.content?.lock_ref === grant.lock_ref) return { kind: 'orphan', seen }
    return this.#judgeUnexplained(place, seen)
  }

  /** A file that no grant explains: debris of ours, an orphan or a holder of another tool, or unreadable. */
  #judgeUnexplained(place: DeliverableFolder, seen: files.Seen): Verdict {
    const now = this.#core.now()
    const { content } = seen
    if (content === undefined) return { kind: 'taken', refusal: contentionWithFile(unreadable(place), now) }
    const previous = { previous_acquired: content.acquired, previous_holder: content.holder }
    if (content.ledger === this.#core.log.meta.origin)
      return { kind: 'orphan', seen, orphan: { ...previous, recovery_reason: 'unrecorded' } }
    const isHolderRunning = isRunning(content.pid)
    const reason = fileOrphanReason(content, now.wall_ms, isHolderRunning)
    if (reason !== undefined) return { kind: 'orphan', seen, orphan: { ...previous, recovery_reason: reason } }
    const remainingMillis = Date.parse(content.acquired) + content.lease_duration_s * 1000 - now.wall_ms
    const finding: FileFinding = {
      name: place.name,
      deliverable_id: place.deliverable_id,
      holder: content.holder,
      acquired: content.acquired,
      lease_remaining_s: Math.ceil(remainingMillis / 1000),
      pid: content.pid,
      holder_alive: isHolderRunning ? 'yes' : 'no',
      path: place.lock,
    }
    return { kind: 'taken', refusal: contentionWithFile(finding, now) }
  }

  async setAside(place: DeliverableFolder, seen: files.Seen, actor: Actor): Promise<string | 'again' | undefined> {
    const removal = await files.setAside(place.path, seen, this.#core.newLockId().slice(4, 16))
    if (removal.outcome === 'aside') return removal.aside
    if (removal.outcome === 'absent') return undefined
    if (removal.outcome === 'changed') return 'again'
    const { aside, asideText, foundText } = removal
    await submit(
      this.#core,
      {
        type: 'lock.report_file',
        name: place.name,
        report: {
          fact: 'conflict',
          aside,
          aside_content: asideText.trim().slice(0, 2_000),
          found_content: foundText.trim().slice(0, 2_000),
        },
      },
      { actor },
    )
    throw new LockstepError('LOCK_CONTENTION', `two lock files claim ${place.lock}; both are kept`, {
      details: { name: place.name, aside },
    })
  }

  /** Temporaries go; an aside is judged as if it were the lock file: put back where that is free, then judged there. */
  async clearDebris(place: DeliverableFolder): Promise<void> {
    const { temporaries, asides } = await files.debrisIn(place.path)
    for (const temporary of temporaries) await files.dropAside(temporary)
    for (const aside of asides) {
      const seen = await files.inspect(aside)
      const isOurs = seen?.content?.ledger === this.#core.log.meta.origin
      const isCurrent = isOurs && seen.content?.lock_ref === this.grantOf(place.name)?.lock_ref
      if (isOurs && !isCurrent) await files.dropAside(aside)
      else await files.putBack(place.path, aside)
    }
  }

  async restore(place: DeliverableFolder, grant: Grant, actor: Actor): Promise<void> {
    const text = lockFileOfGrant(grant, this.#core.log.meta.origin)
    if ((await files.claim(place.path, grant.lock_ref, text)) === undefined) return
    const report = { fact: 'restored' as const, lock_ref: grant.lock_ref, token: grant.token, folder: place.folder }
    await submit(this.#core, { type: 'lock.report_file', name: place.name, report }, { actor })
  }

  async removeFileOf(grant: GrantData, place: DeliverableFolder): Promise<'current' | 'pending'> {
    try {
      const seen = await files.inspect(place.lock)
      if (seen?.content?.lock_ref !== grant.lock_ref) return 'current'
      const removal = await files.setAside(place.path, seen, this.#core.newLockId().slice(4, 16))
      if (removal.outcome === 'aside') await files.dropAside(removal.aside)
      return 'current'
    } catch (error) {
      if (error instanceof LockstepError) return error.code === 'NOT_FOUND' ? 'current' : 'pending'
      throw error
    }
  }

  async removeIfStill(place: DeliverableFolder, ino: bigint): Promise<void> {
    const seen = await files.inspect(place.lock)
    if (seen?.ino !== ino) return
    const removal = await files.setAside(place.path, seen, this.#core.newLockId().slice(4, 16))
    if (removal.outcome === 'aside') await files.dropAside(removal.aside)
  }

  async lose(grant: Grant, seen: files.Seen | undefined, actor: Actor): Promise<LockstepError> {
    const found = seen === undefined ? 'missing' : (seen.content?.holder ?? 'unreadable')
    await this.reportLost(grant.name, grant.lock_ref, found, actor)
    return new LockstepError('LEASE_LOST', `the lock file of ${grant.name} is no longer this holder’s: ${found}`, {
      details: { name: grant.name, token: grant.token, found },
      hint: 'Somebody who does not use this ledger took the lock. Stop the work and see "lockstep lock history".',
    })
  }

  async reportLost(name: string, lockRef: string, found: string, actor: Actor): Promise<void> {
    const report = { fact: 'lost' as const, lock_ref: lockRef, found }
    await submit(this.#core, { type: 'lock.report_file', name, report }, { actor })
  }

  /** Where the lock of a grant stands. */
  placeOf(grant: GrantData): DeliverableFolder {
    const path = join(this.#core.layout.root, grant.folder ?? '')
    return {
      path,
      folder: grant.folder ?? '',
      deliverable_id: grant.deliverable_id ?? '',
      name: grant.name,
      lock: join(path, lockFileName),
    }
  }

  grantOf(name: string): Grant | null {
    return (this.#core.rows.get(streamOf(name))?.state as LockState | undefined)?.grant ?? null
  }

  #isOrphan(grant: Grant): boolean {
    return orphanReason(grant, deathOfHolder(this.#core, grant.name).death?.reason, this.#core.now()) !== undefined
  }
}

function unreadable(place: DeliverableFolder): FileFinding {
  const { deliverable_id, lock, name } = place
  return {
    name,
    deliverable_id,
    holder: 'unreadable',
    acquired: null,
    lease_remaining_s: 0,
    pid: null,
    holder_alive: 'unknown',
    path: lock,
  }
}
