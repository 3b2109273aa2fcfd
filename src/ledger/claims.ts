import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { streamOf } from '../core/lock/names.ts'
import { LockstepError } from '../errors.ts'
import { type DeliverableFolder, deliverableFolder } from '../fs/deliverable-folder.ts'
import { dropTemporaries, fileError, makeFolderBelow } from '../fs/durable.ts'
import type { Layout } from '../fs/layout.ts'
import * as files from '../fs/lock-file.ts'
import { dropAside } from '../fs/lock-file-aside.ts'
import { adopt } from '../fs/ownership.ts'
import { readHint } from '../fs/regular-file.ts'
import type { Core } from './core.ts'
import { LockFileSteps } from './lock-file-steps.ts'
import { movedGrant } from './lock-file-verdict.ts'
import { lockGrantOf } from './lock-rows.ts'

/** A note is a number and the path of a folder. */
const noteBytes = 2 * limits.pathBytes

/**
 * Does file steps in a folder while a note names it and the ledger's size, so that the next open finishes what a crash
 * leaves and knows what was appended meanwhile. The note stays where the outcome is unknown, and where a step after the
 * append failed and said so by `isKept`. It is not synced: after a power loss the next acquire in the folder judges what a lost note would have named.
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

/** Whatever became of the steps is decided, so a note that cannot be removed is left to the next open. */
function drop(note: string): void {
  try {
    rmSync(note, { force: true, recursive: true })
  } catch {}
}

/** Whether a failed command may have been appended all the same. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof LockstepError && error.details.outcome === 'unknown'
}

/**
 * Finishes what crashes left of claims under way: at open, when nobody else can have one. A folder whose files
 * cannot be reached now keeps its note, and the ledger opens all the same: its lock is judged when it is asked for.
 * What they left of `head` and `owner` while these were replaced goes too.
 */
export async function finishClaims(core: Core, actor: Actor): Promise<void> {
  try {
    dropTemporaries([core.layout.head, core.layout.owner])
  } catch {
    // They take space and nothing else; the next open tries again.
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
 * A claim that became a grant stays, and so does the file of a grant whose folder was moved here; what else is ours is
 * debris, and nobody was ever told of it.
 */
async function finish(
  core: Core,
  place: DeliverableFolder,
  { actor, since }: { actor: Actor; since: number },
): Promise<void> {
  const steps = new LockFileSteps(core)
  const grant = lockGrantOf(core, place.name)
  const seen = await files.inspect(place.lock)
  const isUnexplained = seen?.content?.ledger === core.log.meta.origin && seen.content.lock_ref !== grant?.lock_ref
  if (isUnexplained && (await movedGrant(core, place, seen)) === undefined) await steps.remove(place, seen, actor)
  await dropRecovered(core, place, since)
  await steps.clearDebris(place)
}

/** A file of another tool that was set aside while its recovery was appended has served its time. */
async function dropRecovered(core: Core, place: DeliverableFolder, since: number): Promise<void> {
  const recoveries = recoveriesSince(core, streamOf(place.name), since)
  for (const aside of (await files.debrisIn(place.path)).asides) {
    const content = (await files.inspect(aside))?.content
    const { acquired = null, holder = 'unreadable', ledger } = content ?? {}
    const isRecorded = recoveries.some(
      ({ data }) => data.previous_holder === holder && data.previous_acquired === acquired,
    )
    if (isRecorded && ledger !== core.log.meta.origin) await dropAside(aside)
  }
}

/** The recoveries of a lock that were appended at a seq or later, newest first. */
function recoveriesSince(core: Core, stream: string, since: number): Entry[] {
  const recoveries: Entry[] = []
  for (let seq = core.rows.get(stream)?.last_seq ?? -1; seq >= since; ) {
    const entry = core.log.entry(seq)
    if (entry?.type === 'lock.recovered') recoveries.push(entry)
    seq = entry?.prev.stream ?? -1
  }
  return recoveries
}

/** The folder may have gone away, or another ledger governs it now; whoever locks it next judges what is in it. */
function placeIfGoverned(core: Core, path: string): DeliverableFolder | undefined {
  try {
    return deliverableFolder(path, core.layout.root, core.config)
  } catch {
    return undefined
  }
}

/** None where the folder of notes is missing: Git, for one, keeps no empty folders. */
function notesIn(layout: Layout): string[] {
  try {
    return readdirSync(layout.claims)
  } catch (error) {
    const found = fileError(error, `reading ${layout.claims}`)
    if (found.code === 'NOT_FOUND') return []
    throw found
  }
}

/** Refusals and failures that concern one folder's files, not the ledger. */
function isOfFiles(error: unknown): error is LockstepError {
  return error instanceof LockstepError && /^(?:DISK_FULL|FILE_|LINK_|LOCK_|NOT_FOUND)/.test(error.code)
}
