import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import { LockstepError } from '../errors.ts'
import { type DeliverableFolder, deliverableFolder } from '../fs/deliverable-folder.ts'
import { dropTemporaries, fileError, readIfThere } from '../fs/durable.ts'
import type { Layout } from '../fs/layout.ts'
import * as files from '../fs/lock-file.ts'
import type { Core } from './core.ts'
import { LockFileSteps } from './lock-file-steps.ts'

/**
 * Does file steps in a folder while a note names it, so that the next open finishes what a crash leaves. The note
 * stays where the outcome is unknown. It is not synced: after a power loss the next acquire in the folder judges
 * what a lost note would have named.
 */
export async function underNote<T>(layout: Layout, name: string, folder: string, steps: () => Promise<T>): Promise<T> {
  const note = join(layout.claims, name)
  try {
    mkdirSync(layout.claims, { recursive: true, mode: 0o700 })
    writeFileSync(note, folder, { mode: 0o600 })
  } catch (error) {
    throw fileError(error, `noting a claim in ${layout.claims}`)
  }
  let isUnknown = false
  try {
    return await steps()
  } catch (error) {
    isUnknown = isOutcomeUnknown(error)
    throw error
  } finally {
    if (!isUnknown) rmSync(note, { force: true })
  }
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
  dropTemporaries([core.layout.head, core.layout.owner])
  for (const name of notesIn(core.layout)) {
    const note = join(core.layout.claims, name)
    try {
      const place = placeIfGoverned(core, readIfThere(note) ?? '')
      if (place !== undefined) await finish(core, place, actor)
      rmSync(note, { force: true })
    } catch (error) {
      if (!isOfFiles(error)) throw error
    }
  }
}

/** A claim that became a grant stays; one that did not is debris, and nobody was ever told of it. */
async function finish(core: Core, place: DeliverableFolder, actor: Actor): Promise<void> {
  const steps = new LockFileSteps(core)
  const grant = steps.grantOf(place.name)
  const seen = await files.inspect(place.lock)
  if (seen?.content?.ledger === core.log.meta.origin) {
    const isGranted = grant !== null && seen.content.lock_ref === grant.lock_ref
    if (isGranted) await dropRecovered(core, place, core.log.entry(grant.token - 1))
    else await steps.remove(place, seen, actor)
  }
  await steps.clearDebris(place)
}

/** A file that was set aside for a take-over whose append holds its recovery has served its time. */
async function dropRecovered(core: Core, place: DeliverableFolder, before: Entry | undefined): Promise<void> {
  if (before?.type !== 'lock.recovered' || before.data.name !== place.name) return
  for (const aside of (await files.debrisIn(place.path)).asides) {
    const content = (await files.inspect(aside))?.content
    const isIt = content?.holder === before.data.previous_holder && content?.acquired === before.data.previous_acquired
    if (isIt && content?.ledger !== core.log.meta.origin) await files.dropAside(aside)
  }
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
