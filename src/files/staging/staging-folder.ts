import { readdirSync } from 'node:fs'
import { lstat, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileError, isAbsence, syncFolder } from '../../disk/durable.ts'
import type { Layout } from '../../disk/layout.ts'
import { turnNumberOf } from '../../domain/run/turns.ts'
import { isWorkspaceName } from '../../domain/turn/workspace.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'

/**
 * The size of a folder to be removed: the number of regular files, the number of other entries, and the bytes of the
 * files.
 */
export interface StagingSize {
  bytes: number
  files: number
}

/**
 * The folder that Lockstep provides for staging a turn: `.lockstep/staging/<run_id>/<turn_id>`.
 * Errors: INVALID_INPUT (the run_id or turn_id is not valid for a turn).
 */
export function stagingFolder({ staging }: Layout, runId: string, turnId: string): string {
  if (isWorkspaceName(runId) && turnNumberOf(turnId) !== undefined) return join(staging, runId, turnId)
  throw new LockstepError('INVALID_INPUT', 'the run_id or the turn_id is not valid for a turn')
}

/** The turns of a run that have a staging folder, in order. */
export function stagedTurns({ staging }: Layout, runId: string): string[] {
  try {
    const turns = readdirSync(join(staging, runId)).filter((name) => turnNumberOf(name) !== undefined)
    return turns.sort((one, other) => (turnNumberOf(one) ?? 0) - (turnNumberOf(other) ?? 0))
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${join(staging, runId)}`)
  }
}

/**
 * The content of a staging folder. Undefined if there is none, or if a link in its path leads out of Lockstep's own
 * folders. Links are counted but never followed.
 */
export async function stagingSize(folder: string): Promise<StagingSize | undefined> {
  const size = { bytes: 0, files: 0 }
  try {
    for (const above of [dirname(folder), dirname(dirname(folder))])
      if (!(await lstat(above)).isDirectory()) return undefined
    const top = await lstat(folder)
    if (!top.isDirectory()) return { bytes: top.size, files: 1 }
    const below = [folder]
    for (let at = 0; at < below.length; at += 1) {
      const path = below[at] ?? ''
      for (const entry of readdirSync(path, { withFileTypes: true })) {
        if (entry.isDirectory()) {
          below.push(join(path, entry.name))
          continue
        }
        size.files += 1
        size.bytes += (await lstat(join(path, entry.name))).size
      }
    }
    return size
  } catch (error) {
    if (isAbsence(error)) return undefined
    throw fileError(error, `reading ${folder}`)
  }
}

/**
 * Removes a staging folder, and the run's folder if it is then empty. The removal is durable when this resolves. Links
 * are not followed.
 */
export async function removeStaging(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true })
    const run = dirname(folder)
    await rmdir(run).then(
      () => syncFolder(dirname(run)),
      (error: unknown) => {
        if (!['ENOTEMPTY', 'EEXIST'].includes(systemCodeOf(error) ?? '')) throw error
        syncFolder(run)
      },
    )
  } catch (error) {
    if (!isAbsence(error)) throw fileError(error, `removing ${folder}`)
  }
}
