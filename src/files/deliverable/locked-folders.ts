import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileError, isAbsence } from '../../disk/durable.ts'
import { homeName } from '../../disk/layout.ts'
import { lockFileName } from '../../domain/lock/lock-file.ts'
import { deliverableIdOf } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import type { Core } from '../../writer/core.ts'
import { type DeliverableFolder, describe } from './deliverable-folder.ts'

/** Folders that have no deliverables, and may have very many folders. */
const skipped: readonly string[] = [homeName, '.git', 'node_modules']

/**
 * The deliverable folders at or below a folder that have a lock file. Links are not followed, and folders that another
 * ledger governs are left out. Errors: LIMIT_EXCEEDED, and FILE_DENIED if a folder cannot be read, because a lock file
 * could be in it.
 */
export async function lockedFoldersBelow(
  start: string,
  { config, layout: { root } }: Pick<Core, 'config' | 'layout'>,
): Promise<DeliverableFolder[]> {
  const found: DeliverableFolder[] = []
  const waiting = [start]
  let searched = 0
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    searched += 1
    if (searched > limits.foldersSearchedMax) {
      const message = `${start} has more than ${limits.foldersSearchedMax} folders`
      throw new LockstepError('LIMIT_EXCEEDED', message, { hint: 'Name a smaller folder.' })
    }
    const entries = await entriesIn(folder)
    if (folder !== root && entries.some((entry) => entry.name === homeName && entry.isDirectory())) continue
    const id = deliverableIdOf(basename(folder))
    if (id !== undefined && entries.some(({ name }) => name === lockFileName)) {
      found.push(describe(folder, id, root, config))
    }
    for (const entry of entries) {
      if (entry.isDirectory() && !skipped.includes(entry.name)) waiting.push(join(folder, entry.name))
    }
  }
  return found
}

/** Empty if the folder is gone by now. */
async function entriesIn(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${folder}`)
  }
}
