import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { z } from 'zod'
import type { LockState as LockStatus, list } from '../../api/shapes/locks.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { pathAt } from '../../domain/lock/paths/path.ts'
import type { Grant, LockState } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import { lockedFoldersBelow } from '../../files/deliverable/locked-folders.ts'
import type { Core } from '../../writer/core.ts'
import { boundPlace, describe, standingFile } from './lock-status.ts'
import type { PathLocks } from './paths.ts'

/**
 * Lists held locks by name, those of paths included, and lock files that no grant explains: those in folders that the ledger knows, and with
 * `under` those in all folders below it. `orphans` keeps only locks whose holder is gone, or whose project file differs
 * from the ledger. `under` keeps only locks in a folder below the root. Cost: one pass over the rows of locks, one
 * look at a file for each deliverable without a live holder, and with `under` one pass over the folders below.
 */
export async function listLocks(
  core: Core,
  { orphans, under }: z.output<typeof list>,
  { orphanOf, paths }: { orphanOf: (grant: Grant) => Promise<string | undefined>; paths: PathLocks },
): Promise<LockStatus[]> {
  const prefix = under === undefined ? undefined : prefixOf(core.layout.root, under)
  const listed: LockStatus[] = await paths.list(prefix === undefined ? undefined : pathAt(prefix, true))
  const examined = new Set<string>()
  let isKnown = listed.length > 0
  for await (const [, row] of core.views.rows(streamOf(''))) {
    const state = row.state as LockState
    const { grant } = state
    const place = boundPlace(core, state)
    if (prefix !== undefined && !isUnder(place?.folder, prefix)) continue
    isKnown = true
    if (grant === null && place === undefined) continue
    if (place !== undefined) examined.add(place.folder)
    const status = describe(core, state, row.last_seq)
    const finding = orphans && grant?.kind === 'project' ? await orphanOf(grant) : undefined
    if (finding !== undefined) Object.assign(status, { state: 'orphan', orphan_reason: finding })
    const file = status.state === 'held' || place === undefined ? undefined : await standingFile(core, place)
    listed.push(file ?? status)
  }
  if (under !== undefined && prefix !== undefined) {
    // A folder that was deleted may still have locks, so only a folder that the ledger does not know is an error.
    const start = join(core.layout.root, prefix)
    if (!isKnown && !existsSync(start)) throw new LockstepError('NOT_FOUND', `the folder ${start} does not exist`)
    for (const place of await lockedFoldersBelow(start, core)) {
      const file = examined.has(place.folder) ? undefined : await standingFile(core, place)
      if (file !== undefined) listed.push(file)
    }
  }
  const wanted = listed.filter(({ state }) => (orphans ? state === 'orphan' : state !== 'free'))
  return wanted.sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0))
}

/** Errors: INVALID_INPUT for a folder outside the root. An empty list would suggest that the folder has no locks. */
function prefixOf(root: string, folder: string): string {
  const real = realPath(folder)
  const prefix = relative(root, real).split(sep).join('/')
  if (prefix === '..' || prefix.startsWith('../')) {
    throw new LockstepError('INVALID_INPUT', `${real} is outside ${root}, the root of this ledger`)
  }
  return prefix
}

/**
 * Resolves links, as the ledger's root is resolved. A folder that was deleted may still have locks, so it is
 * accepted.
 */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(realPath(parent), basename(path))
  }
}

function isUnder(folder: string | undefined, prefix: string): boolean {
  return folder !== undefined && (prefix === '' || folder === prefix || folder.startsWith(`${prefix}/`))
}
