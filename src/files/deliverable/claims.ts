import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dropTemporaries, fileError, makeFolderBelow } from '../../disk/durable.ts'
import type { Layout } from '../../disk/layout.ts'
import { adopt } from '../../disk/ownership.ts'
import { readHint } from '../../disk/regular-file.ts'
import { isoMillis } from '../../domain/lock/iso-time.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import type { Core } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import { type DeliverableFolder, deliverableFolder } from './deliverable-folder.ts'
import { dropUnfinishedCopies, hasDigest } from './kept-file.ts'
import * as files from './lock-file.ts'
import { dropAside } from './lock-file-aside.ts'
import { LockFileSteps } from './lock-file-steps.ts'
import { movedGrant } from './lock-file-verdict.ts'

/** The most bytes in a note: a number and the path of a folder. */
const noteBytes = 2 * limits.pathBytes

/**
 * Runs file steps in a folder under a note. The note holds the folder and the ledger's size, so after a crash the
 * next open can finish the steps and see which entries were appended meanwhile. The note is kept if the outcome is
 * unknown, or if a step sets `isKept`. It is not synced: after a power failure without the note, the next acquire in
 * the folder judges the files.
 */
export async function underNote<T>(
  core: Core,
  name: string,
  folder: string,
  steps: (note: { isKept: boolean }) => Promise<T>,
): Promise<T> {
  const { claims, home } = core.layout
  const note = join(claims, name)
  try {
    makeFolderBelow(home, claims, 0o700)
    rmSync(note, { force: true, recursive: true })
    writeFileSync(note, `${core.log.head().size} ${folder}`, { mode: 0o600, flag: 'wx' })
    adopt(note)
  } catch (error) {
    core.log.custody?.assertInPlace()
    throw fileError(error, `noting a claim in ${claims}`)
  }
  const kept = { isKept: false }
  try {
    return await steps(kept)
  } catch (error) {
    kept.isKept ||= isOutcomeUnknown(error)
    throw error
  } finally {
    if (!kept.isKept) drop(note)
  }
}

/** A note that cannot be removed is left to the next open; the steps themselves are already decided. */
function drop(note: string): void {
  try {
    rmSync(note, { force: true, recursive: true })
  } catch {}
}

/** Whether a failed command may still have been appended. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof LockstepError && error.details.outcome === 'unknown'
}

/**
 * Finishes claims that were interrupted by a crash. It runs at open, when no other process can hold a claim. If a
 * folder's files cannot be reached, its note is kept and the ledger still opens; the lock is judged at its next
 * acquire. Temporary files of `head`, `owner` and `place` are removed too.
 */
export async function finishClaims(core: Core, actor: Actor): Promise<void> {
  try {
    dropTemporaries([core.layout.head, core.layout.owner, core.layout.place])
    dropUnfinishedCopies(core.layout)
  } catch {
    // They only take space; the next open tries again.
  }
  for (const name of notesIn(core.layout)) {
    const note = join(core.layout.claims, name)
    try {
      const [, since = Number.POSITIVE_INFINITY, folder = ''] =
        /^(?:(\d+) )?(.+)$/s.exec(readHint(note, noteBytes) ?? '') ?? []
      const place = placeIfGoverned(core, folder)
      if (place !== undefined) await finish(core, place, { actor, since: Number(since) })
      drop(note)
    } catch (error) {
      const found = fileError(error, `finishing the claim in ${note}`)
      if (!isOfFiles(found)) throw found
    }
  }
}

/**
 * Keeps the file of a claim that became a grant, and the file of a grant whose folder was moved here. Removes any
 * other file of this ledger: no caller was told of it.
 */
async function finish(
  core: Core,
  place: DeliverableFolder,
  { actor, since }: { actor: Actor; since: number },
): Promise<void> {
  const steps = new LockFileSteps(core)
  const grant = await lockGrantOf(core, place.name)
  const seen = await files.inspect(place.lock)
  const isUnexplained = seen?.content?.ledger === core.log.meta.origin && seen.content.lock_ref !== grant?.lock_ref
  if (isUnexplained && (await movedGrant(core, place, seen)) === undefined) await steps.remove(place, seen, actor)
  await dropRecovered(core, place, since)
  await steps.clearDebris(place)
}

/** Removes another tool's lock file that was set aside, if its recovery or its move was appended. */
async function dropRecovered(core: Core, place: DeliverableFolder, since: number): Promise<void> {
  const moves = await movesSince(core, streamOf(place.name), since)
  for (const aside of (await files.debrisIn(place.path)).asides) {
    const content = (await files.inspect(aside))?.content
    const { acquired = null, holder = 'unreadable', ledger } = content ?? {}
    const isRecorded = moves.some(({ data }) =>
      data.digest === undefined
        ? data.previous_holder === holder && millisIn(data.previous_acquired) === millisIn(acquired)
        : hasDigest(aside, data.digest),
    )
    if (isRecorded && ledger !== core.log.meta.origin) await dropAside(aside)
  }
}

/** An earlier version recorded the time of a file as the file has it. */
function millisIn(time: unknown): number | undefined {
  return isoMillis(String(time))
}

/** The entries of a lock, appended at a seq or later, about files that were moved out of the way, newest first. */
async function movesSince(core: Core, stream: string, since: number): Promise<Entry[]> {
  const moves: Entry[] = []
  for await (const entry of walked(core.views, await chainOfStream(core.views, stream), since)) {
    if (entry.type === 'lock.recovered' || entry.type === 'lock.file_set_aside') moves.push(entry)
  }
  return moves
}

/** The folder may be gone, or another ledger may govern it now. Then the next acquire there judges its files. */
function placeIfGoverned(core: Core, path: string): DeliverableFolder | undefined {
  try {
    return deliverableFolder(path, core.layout.root, core.config)
  } catch {
    return undefined
  }
}

/** Returns no notes if their folder is missing. Git, for example, does not keep empty folders. */
function notesIn(layout: Layout): string[] {
  try {
    return readdirSync(layout.claims)
  } catch (error) {
    const found = fileError(error, `reading ${layout.claims}`)
    if (found.code === 'NOT_FOUND') return []
    throw found
  }
}

/** Whether an error concerns the files of one folder and not the whole ledger. */
function isOfFiles(error: unknown): error is LockstepError {
  return error instanceof LockstepError && /^(?:DISK_FULL|FILE_|LINK_|LOCK_|NOT_FOUND)/.test(error.code)
}
