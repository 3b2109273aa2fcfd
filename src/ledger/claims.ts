import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Actor } from '../core/ids.ts'
import { type DeliverableFolder, deliverableFolder } from '../fs/deliverable-folder.ts'
import { readIfThere } from '../fs/durable.ts'
import type { Layout } from '../fs/layout.ts'
import * as files from '../fs/lock-file.ts'
import type { Core } from './core.ts'
import { LockFileSteps } from './lock-file-steps.ts'

/**
 * Notes a folder before its first file step; whoever notes it removes the note after the last. Not synced: after a
 * power loss the next acquire in the folder judges what a lost note would have named.
 */
export function noteClaim(layout: Layout, lockRef: string, folder: string): string {
  const note = join(layout.claims, lockRef)
  writeFileSync(note, folder, { mode: 0o600 })
  return note
}

/** Finishes what crashes left of claims under way: at open, when nobody else can have one. */
export async function finishClaims(core: Core, actor: Actor): Promise<void> {
  for (const name of readdirSync(core.layout.claims)) {
    const note = join(core.layout.claims, name)
    const place = placeIfGoverned(core, readIfThere(note) ?? '')
    if (place !== undefined) await finish(core, place, actor)
    rmSync(note, { force: true })
  }
}

/** A claim that became a grant stays; one that did not is debris, and nobody was ever told of it. */
async function finish(core: Core, place: DeliverableFolder, actor: Actor): Promise<void> {
  const steps = new LockFileSteps(core)
  await steps.clearDebris(place)
  const seen = await files.inspect(place.lock)
  const isDebris =
    seen?.content?.ledger === core.log.meta.origin && seen.content.lock_ref !== steps.grantOf(place.name)?.lock_ref
  if (seen === undefined || !isDebris) return
  const aside = await steps.setAside(place, seen, actor)
  if (aside !== undefined && aside !== 'again') await files.dropAside(aside)
}

/** The folder may have gone away, or another ledger governs it now; whoever locks it next judges what is in it. */
function placeIfGoverned(core: Core, path: string): DeliverableFolder | undefined {
  try {
    return deliverableFolder(path, core.layout.root, core.config)
  } catch {
    return undefined
  }
}
